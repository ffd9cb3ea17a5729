// test_sampler_answers.c: the sampler's answers on a fake model: JSON, stops, scores, prompts.
// links: tests/runtime/fake_sampler.c
// links: runtime/programs/sample/flags.c runtime/programs/sample/prompt.c
// links: runtime/programs/sample/output.c runtime/programs/sample/tokens_json.c
// links: runtime/programs/sample/answer.c runtime/programs/sample/ids.c
// links: runtime/programs/sample/score.c runtime/programs/sample/interactive.c
// links: runtime/programs/sample/samples.c runtime/programs/sample/prompts.c
#include "tests/runtime/sampler_main.h"

// One line that is a JSON object; the caller frees it.
static struct json *line_of_json(void) {
    ck_assert_ptr_nonnull(strchr(out, '\n'));
    ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
    const char *error = NULL;
    struct json *json = json_parse(out, strlen(out), &error);
    ck_assert_msg(json != NULL, "%s: %s", error, out);
    return json;
}

static void assert_member(const struct json *json, const char *key, const char *wanted) {
    char *text = json_string(json, json_get(json, 0, key));
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, wanted);
    free(text);
}

START_TEST(test_main_json) {
    write_good_checkpoint();
    ck_assert_int_eq(run(path, "--start=ab", "--num_samples=1", "--max_new_tokens=30", "--seed=4"),
                     EXIT_DONE);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)(strstr(out, "\n------") - out) - 2, out + 2);
    ck_assert_int_eq(run(path, "--start=ab", "--num_samples=1", "--max_new_tokens=30", "--seed=4",
                         "--json", "--logprobs=3", "--timing"),
                     EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(err, "sample 0: 2 tokens of prompt in "));
    ck_assert_ptr_nonnull(strstr(err, "1 of 1 texts at a time, of "));
    struct json *json = line_of_json();
    assert_member(json, "prompt", "ab");
    assert_member(json, "text", text);
    assert_member(json, "finish_reason", "length");
    const int tokens = json_get(json, 0, "tokens");
    ck_assert_int_eq(json_count(json, tokens), 30);
    for (int i = 0; i < 30; i++) {
        const int token = json_element(json, tokens, i);
        ck_assert_int_ge(json_get(json, token, "logprob"), 0);
        ck_assert_int_eq(json_count(json, json_get(json, token, "top_logprobs")), 3);
    }
    json_free(json);
    // the log probability of the first token is that of the raw logits, whatever is done to them
    ck_assert_int_eq(run(path, "--start=ab", "--num_samples=1", "--max_new_tokens=1", "--json",
                         "--temperature=0.1", "--repetition_penalty=3", "--top_k=1"),
                     EXIT_DONE);
    float logits[FAKE_V];
    full_logits((const int32_t[]){2, 3}, 2, logits);
    const char *at = strstr(out, "\"tokens\":[{\"id\":");
    ck_assert_ptr_nonnull(at);
    int id;
    double logprob;
    ck_assert_int_eq(sscanf(at, "\"tokens\":[{\"id\":%d", &id), 1);
    ck_assert_int_eq(sscanf(strstr(at, "\"logprob\":"), "\"logprob\":%lf", &logprob), 1);
    ck_assert_double_eq_tol(logprob, logits[id] - logprobs_total(logits, FAKE_V), 1e-5);
}
END_TEST

// Any bytes: tokens of halves of characters, control characters, quotes.
START_TEST(test_main_json_bytes) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[1] = "char 00 01 0a 22 5c 7f 80 e9 4e2d 10ffff";
    checkpoint_write(&c);
    for (int seed = 0; seed < 5; seed++) {
        char flag[32];
        snprintf(flag, sizeof flag, "--seed=%d", seed);
        ck_assert_int_eq(run(path, flag, "--num_samples=1", "--json", "--temperature=9",
                             "--logprobs=12", "--max_new_tokens=90"),
                         EXIT_DONE);
        json_free(line_of_json());
    }
}
END_TEST

START_TEST(test_main_stop) {
    write_good_checkpoint();
    for (int seed = 0; seed < 20; seed++) {
        char flag[32], text[1024];
        snprintf(flag, sizeof flag, "--seed=%d", seed);
        ck_assert_int_eq(run(path, flag, "--num_samples=1", "--max_new_tokens=60", "--start=b",
                             "--temperature=5"),
                         EXIT_DONE);
        strcpy(text, out + 1);
        char *cut = strstr(text, "c"), *other = strstr(text, "\303\251a");
        cut = other != NULL && (cut == NULL || other < cut) ? other : cut;
        if (cut != NULL) {
            strcpy(cut, "\n---------------\n");
        }
        ck_assert_int_eq(run(path, flag, "--num_samples=1", "--max_new_tokens=60", "--start=b",
                             "--temperature=5", "--stop=c", "--stop=\303\251a"),
                         EXIT_DONE);
        ck_assert_str_eq(out + 1, text);
    }
    ck_assert_int_eq(run(path, "--start=ab\344\270\255", "--num_samples=1", "--temperature=0",
                         "--stop=\344\270\255", "--json"),
                     EXIT_DONE);
    struct json *json = line_of_json();
    assert_member(json, "finish_reason", "stop");
    json_free(json);
}
END_TEST

START_TEST(test_main_tokens_and_score) {
    write_good_checkpoint();
    ck_assert_int_eq(run(path, "--tokens", "--start=ab\303\251"), EXIT_DONE);
    ck_assert_str_eq(out, "2 3 8\n");
    ck_assert_int_eq(run(path, "--tokens", "--json", "--start=ab"), EXIT_DONE);
    ck_assert_str_eq(out, "{\"text\":\"ab\",\"ids\":[2,3],\"tokens\":[\"a\",\"b\"]}\n");
    // windows of the context's 8 tokens that do not overlap
    const char *const text = "abcdefabcabcddeefab";
    enum { COUNT = 19 };
    int32_t ids[COUNT];
    double loss = 0;
    for (int i = 0; i < COUNT; i++) {
        ids[i] = text[i] - 'a' + 2;
        if (i > 0) {
            float logits[FAKE_V];
            const int from = (i - 1) / FAKE_T * FAKE_T;
            full_logits(ids + from, i - from, logits);
            loss += logprobs_total(logits, FAKE_V) - logits[ids[i]];
        }
    }
    suite_write_text("text", text);
    char flag[1024];
    snprintf(flag, sizeof flag, "--score=%s", suite_path("text"));
    ck_assert_int_eq(run(path, flag, "--json", "--logprobs=1"), EXIT_DONE);
    struct json *json = line_of_json();
    ck_assert_int_eq(json_count(json, json_get(json, 0, "tokens")), COUNT);
    json_free(json);
    double found;
    ck_assert_int_eq(sscanf(strstr(out, "\"loss\":"), "\"loss\":%lf", &found), 1);
    ck_assert_double_eq_tol(found, loss / (COUNT - 1), 1e-5);
    ck_assert_int_eq(run(path, flag), EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(out, "; 18 tokens predicted in windows of 8\n"));
    suite_write_text("text", "a");
    assert_fails(EXIT_DATA, "text: one token", path, flag);
    suite_write_text("text", "abZ");
    assert_fails(EXIT_DATA, "line 1, character 3: 'Z'", path, flag);
    assert_fails(EXIT_MISSING, "cannot read", path, "--score=/nowhere/text");
}
END_TEST

// Text without its times.
static char *untimed(char *text) {
    for (char *at = text; (at = strstr(at, "seconds\":")) != NULL;) {
        at += strlen("seconds\":");
        memmove(at, at + strcspn(at, ",}"), strlen(at + strcspn(at, ",}")) + 1);
    }
    return text;
}

// Each prompt of a file gets the lines that it gets alone, in order, by any number at a time.
START_TEST(test_main_prompts) {
    write_good_checkpoint();
    char flag[1024];
    static char wanted[1 << 16];
    snprintf(flag, sizeof flag, "--prompts=%s", suite_path("prompts"));
    wanted[0] = '\0';
    const struct {
        const char *line, *flags[6];
    } lines[] = {
        {"{\"prompt\": \"ab\"}", {"--start=ab", "--num_samples=1", "--max_new_tokens=9"}},
        {" {\"max_new_tokens\": 40, \"prompt\": \"a\\nb\", \"temperature\": 2.5, \"seed\": 7}\r",
         {"--start=a\nb", "--num_samples=1", "--max_new_tokens=40", "--temperature=2.5",
          "--seed=7"}},
        {"\n{\"prompt\": \"abcabcabcabc\", \"num_samples\": 3, \"stop\": [\"e\", \"ab\"]}",
         {"--start=abcabcabcabc", "--num_samples=3", "--max_new_tokens=9", "--stop=e",
          "--stop=ab"}},
        {"{\"prompt\": \"c\", \"num_samples\": 0}", {NULL}},
        {"{\"prompt\": \"c\", \"max_new_tokens\": 0, \"num_samples\": 2}",
         {"--start=c", "--num_samples=2", "--max_new_tokens=0"}},
        {"{\"prompt\": \"c\", \"num_samples\": 5, \"logprobs\": 2, \"stop\": \"f\", \"top_k\": 3}",
         {"--start=c", "--num_samples=5", "--max_new_tokens=9", "--logprobs=2", "--stop=f",
          "--top_k=3"}},
    };
    char file[1024] = "";
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        strcat(strcat(file, lines[i].line), "\n");
        if (lines[i].flags[0] != NULL) {
            const char *const *f = lines[i].flags;
            ck_assert_int_eq(run(path, "--json", f[0], f[1], f[2], f[3] ? f[3] : "--top_p=1",
                                 f[4] ? f[4] : "--top_p=1", f[5] ? f[5] : "--top_p=1"),
                             EXIT_DONE);
            strcat(wanted, untimed(out));
        }
    }
    const char *const ways[][2] = {{"--together=0", "--threads=1"},
                                   {"--together=1", "--threads=2"},
                                   {"--together=2", "--threads=1"},
                                   {"--together=3", "--threads=3"}};
    for (int i = 0; i < 4; i++) {
        suite_write_text("prompts", file);
        ck_assert_int_eq(run(path, flag, "--max_new_tokens=9", ways[i][0], ways[i][1]), EXIT_DONE);
        ck_assert_str_eq(untimed(out), wanted);
    }
    // lines of text
    wanted[0] = '\0';
    const char *const few = "--max_new_tokens=30";
    ck_assert_int_eq(run(path, few, "--json", "--start=ab f", "--num_samples=2"), EXIT_DONE);
    strcat(wanted, untimed(out));
    ck_assert_int_eq(run(path, few, "--json", "--start=c", "--num_samples=2"), EXIT_DONE);
    strcat(wanted, untimed(out));
    suite_write_text("prompts", "ab f\r\nc");
    ck_assert_int_eq(run(path, few, flag, "--num_samples=2"), EXIT_DONE);
    ck_assert_str_eq(untimed(out), wanted);
}
END_TEST

// A line that is wrong is said by its number before anything is written.
START_TEST(test_main_bad_prompt_lines) {
    write_good_checkpoint();
    char flag[1024], file[1024], wanted[256];
    snprintf(flag, sizeof flag, "--prompts=%s", suite_path("prompts"));
    const char *const bad[][2] = {
        {"{\"prompt\": \"a\"", "broken JSON"},
        {"{\"prompt\": \"a\"} x", "JSON"},
        {"[]", "wanted an object"},
        {"{\"prompt\": \"a\", \"prompt\": \"a\"}", "a key twice"},
        {"{\"prompt\": \"a\", \"temprature\": 1}",
         "unknown \"temprature\"; did you mean \"temperature\"?"},
        {"{\"prompts\": \"a\"}", "\"prompts\" is of the whole run"},
        {"{\"text\": \"a\"}", "unknown \"text\"; wanted \"prompt\" and names of flags"},
        {"{\"prompt\": \"a\", \"threads\": 1}", "\"threads\" is of the whole run; give --threads"},
        {"{\"prompt\": \"a\", \"top_p\": 0}", "\"top_p\": found '0', wanted a number above 0"},
        {"{\"prompt\": \"a\", \"top_k\": \"3\"}",
         "\"top_k\": found '\"3\"', wanted a whole number"},
        {"{\"prompt\": \"a\", \"top_k\": [3]}",
         "\"top_k\": found '\"...\"', wanted a whole number"},
        {"{\"prompt\": \"a\", \"stop\": [\"b\", \"\"]}", "\"stop\": found '', wanted UTF-8"},
        {"{\"prompt\": \"a\", \"stop\": 3}", "\"stop\": wanted a text, or a list"},
        {"{\"prompt\": 3}", "\"prompt\": wanted a text"},
        {"{\"prompt\": \"\"}", "an empty prompt"},
        {"{\"seed\": 3}", "no \"prompt\"; wanted"},
        {"{\"prompt\": \"aZ\"}", "line 1, character 2: 'Z' (U+005A) is not in the vocabulary"},
        {"{\"prompt\": \"a\\u0000\"}", "line 1, character 2: '"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(file, sizeof file, "{\"prompt\": \"ab\"}\n\n%s\n{\"prompt\": \"ab\"}\n",
                 bad[i][0]);
        suite_write_text("prompts", file);
        snprintf(wanted, sizeof wanted, "prompts:3: ");
        assert_fails(EXIT_DATA, wanted, path, flag);
        ck_assert_msg(strstr(err, bad[i][1]) != NULL, "wanted '%s': %s", bad[i][1], err);
    }
    suite_write_text("prompts", "ab\n\nab\n");
    assert_fails(EXIT_DATA, "prompts:2: an empty prompt", path, flag);
    suite_write_text("prompts", "ab\n{}\n");
    assert_fails(EXIT_DATA, "prompts:2: line 1, character 1: '{'", path, flag);
    suite_write_text("prompts", "");
    assert_fails(EXIT_DATA, "prompts: an empty prompt", path, flag);
    assert_fails(EXIT_MISSING, "cannot read", path, "--prompts=/nowhere/prompts");
    assert_fails(EXIT_USAGE, "--prompts: no path", path, "--prompts=");
    assert_fails(EXIT_USAGE, "--start beside --prompts", path, flag, "--start=a");
    assert_fails(EXIT_USAGE, "--interactive beside --prompts", path, flag, "--interactive");
}
END_TEST

START_TEST(test_main_any_seed) {
    write_good_checkpoint();
    static char first[1 << 16];
    const char *const warm = "--temperature=9"; // so that seeds give other texts
    ck_assert_int_eq(run(path, warm, "--seed=-1"), EXIT_DONE);
    strcpy(first, out);
    unsigned seed;
    ck_assert_int_eq(sscanf(err, "seed: %u;", &seed), 1);
    char flag[32];
    snprintf(flag, sizeof flag, "--seed=%u", seed);
    ck_assert_int_eq(run(path, warm, flag), EXIT_DONE);
    ck_assert_str_eq(out, first);
    ck_assert_int_eq(run(path, warm, "--seed=-1"), EXIT_DONE);
    ck_assert_msg(strcmp(out, first) != 0, "%u and then the same text: %s", seed, err);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        test_main_json,     test_main_json_bytes,
        test_main_stop,     test_main_tokens_and_score,
        test_main_prompts,  test_main_bad_prompt_lines,
        test_main_any_seed,
    };
    return suite_main_with("sampler: answers", set_up, tests, sizeof tests / sizeof tests[0]);
}
