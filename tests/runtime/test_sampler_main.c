// test_sampler_main.c: the sampler's command line on a fake model. The program is included here, so
// that its main can be called in a child process.
// links: tests/runtime/fake_sampler.c
// links: runtime/programs/sample/flags.c runtime/programs/sample/prompt.c
// links: runtime/programs/sample/output.c runtime/programs/sample/tokens_json.c
// links: runtime/programs/sample/answer.c runtime/programs/sample/ids.c
// links: runtime/programs/sample/score.c runtime/programs/sample/interactive.c
// links: runtime/programs/sample/samples.c runtime/programs/sample/prompts.c
#include "tests/runtime/fake_checkpoint.h"

#include <poll.h>
#include <pty.h>
#include <sys/resource.h>

#define main sample_main
#include "runtime/programs/sample.c"
#undef main

static char out[1 << 16], err[1 << 16];   // what the last run wrote
static rlim_t file_limit = RLIM_INFINITY; // bytes that a file of the next runs may have

static void slurp(const char *name, char *text, size_t size) {
    FILE *in = fopen(suite_path(name), "rb");
    ck_assert_ptr_nonnull(in);
    text[fread(text, 1, size - 1, in)] = '\0';
    fclose(in);
}

static bool said_slide; // in the last run's err, which has it no longer

// Takes the line that says what a text beyond the context costs out of err.
static void strip_slide(void) {
    char *line = strstr(err, " beyond the context of 8 tokens, ");
    said_slide = line != NULL;
    if (line != NULL) {
        const char *const rest = strchr(line, '\n') + 1;
        while (line > err && line[-1] != '\n') {
            line--;
        }
        memmove(line, rest, strlen(rest) + 1);
    }
}

// Runs the program in a child; arguments end with NULL. stdout goes to the file `to`, or is
// captured if that is NULL. Returns the exit code.
static int run_into(const char *to, const char *const *arguments) {
    char *argv[32] = {"sample"};
    int argc = 1;
    const struct rlimit limit = {file_limit, file_limit};
    while (arguments[argc - 1] != NULL) {
        ck_assert_int_lt(argc, 31);
        argv[argc] = (char *)arguments[argc - 1];
        argc++;
    }
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int out_fd = open(to != NULL ? to : suite_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err_fd = open(suite_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out_fd < 0 || err_fd < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0 ||
            (file_limit != RLIM_INFINITY && setrlimit(RLIMIT_FSIZE, &limit))) {
            _exit(99);
        }
        exit(sample_main(argc, argv));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    if (to == NULL) {
        slurp("out", out, sizeof out);
    }
    slurp("err", err, sizeof err);
    strip_slide();
    return WEXITSTATUS(status);
}

#define run(...) run_into(NULL, (const char *const[]){__VA_ARGS__, NULL})

// Checks that a run fails with one line that has these words, and writes nothing.
#define assert_fails(code, words, ...)                                                             \
    do {                                                                                           \
        ck_assert_int_eq(run(__VA_ARGS__), code);                                                  \
        ck_assert_msg(strstr(err, words) != NULL, "wanted '%s': %s", words, err);                  \
        ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);                                \
        ck_assert_str_eq(out, "");                                                                 \
    } while (0)

START_TEST(test_main_help) {
    ck_assert_int_eq(run("--help"), EXIT_DONE);
    const char *const names[] = {"checkpoint",  "start",          "num_samples",
                                 "together",    "max_new_tokens", "repetition_penalty",
                                 "temperature", "top_k",          "top_p",
                                 "min_p",       "seed",           "stop",
                                 "json",        "logprobs",       "timing",
                                 "interactive", "score",          "tokens",
                                 "threads",     "verify",         "attention",
                                 "slide",       "prompts",        "lookup"};
    for (int i = 0; i < 24; i++) {
        char flag[32];
        snprintf(flag, sizeof flag, "\n  --%s ", names[i]);
        ck_assert_msg(strstr(out, flag) != NULL, "--%s", names[i]);
    }
    ck_assert_str_eq(err, "");
    ck_assert_ptr_nonnull(strstr(out, FAKE_CONFIG));
    for (const char *line = out; *line != '\0'; line = strchr(line, '\n') + 1) {
        ck_assert_int_le(strchr(line, '\n') - line, 100);
    }
}
END_TEST

START_TEST(test_main_bad_flags) {
    write_good_checkpoint();
    assert_fails(EXIT_USAGE, "usage: sample CHECKPOINT", "--seed=1");
    assert_fails(EXIT_USAGE, "--temprature: unknown flag; did you mean --temperature?", path,
                 "--temprature=1");
    assert_fails(EXIT_USAGE, "--topk: unknown flag; did you mean --top_k?", path, "--topk", "3");
    assert_fails(EXIT_USAGE, "--n_layer: unknown flag; --help", path, "--n_layer=3");
    assert_fails(EXIT_USAGE, "-t: unknown flag", path, "-t", "3");
    assert_fails(EXIT_USAGE, "--out_dir: give the file: --checkpoint=", "--out_dir=out");
    assert_fails(EXIT_USAGE, "--start: no value", path, "--start");
    assert_fails(EXIT_USAGE, "--seed: no value", path, "--seed", "--top_k=3");
    assert_fails(EXIT_USAGE, "wanted one path; quote a prompt", "--start", "abc", "def", path);
    assert_fails(EXIT_USAGE, "wanted one; quote a prompt", "--checkpoint", path, "def");
    const char *const values[] = {
        "--temperature=-0.5",
        "--temperature=nan",
        "--temperature=inf",
        "--temperature=warm",
        "--temperature=",
        "--top_p=0",
        "--top_p=-1",
        "--top_p=1.01",
        "--top_p=nan",
        "--top_k=-1",
        "--top_k=2.5",
        "--top_k=1e3",
        "--num_samples=-1",
        "--seed=-2",
        "--seed=4294967296",
        "--seed=0x10",
        "--max_new_tokens=-1",
        "--threads=257",
        "--threads=-1",
        "--verify=maybe",
        "--num_samples=99999999999999999999",
        "--num_samples=3 ",
        "--top_p=0.5x",
        "--min_p=-0.1",
        "--min_p=1.1",
        "--min_p=nan",
        "--repetition_penalty=0",
        "--logprobs=101",
        "--logprobs=-1",
        "--repetition_penalty=-1",
        "--stop=",
        "--stop=a\xff",
        "--repetition_penalty=1e7",
        "--json=maybe",
        "--timing=2",
        "--interactive=yes",
        "--tokens=x",
        "--slide=third",
        "--lookup=65",
        "--slide=",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_fails(EXIT_USAGE, "', wanted ", path, values[i]);
        ck_assert_mem_eq(err, values[i], strcspn(values[i], "="));
    }
    assert_fails(EXIT_USAGE, "--logprobs: only JSON has them; add --json", path, "--logprobs=1");
    assert_fails(EXIT_USAGE, "--score: no path", path, "--score=");
    assert_fails(EXIT_USAGE, "--interactive beside --score: wanted one", path, "--interactive",
                 "--score=a");
    assert_fails(EXIT_USAGE, "--tokens beside --attention: wanted one", path, "--tokens",
                 "--attention=a");
    char stop[7 + 257 + 1];
    snprintf(stop, sizeof stop, "--stop=%0257d", 0);
    assert_fails(EXIT_USAGE, "', wanted UTF-8 text of 1 to 256 bytes", path, stop);
    assert_fails(EXIT_USAGE, "16 times at most", path, "--stop=1", "--stop=2", "--stop=3",
                 "--stop=4", "--stop=5", "--stop=6", "--stop=7", "--stop=8", "--stop=9", "--stop=a",
                 "--stop=b", "--stop=c", "--stop=d", "--stop=e", "--stop=f", "--stop=g",
                 "--stop=h");
}
END_TEST

START_TEST(test_main_bad_prompts) {
    write_good_checkpoint();
    char flag[1024];
    snprintf(flag, sizeof flag, "--start=FILE:%s", suite_path("prompt.txt"));
    assert_fails(EXIT_USAGE, "--start: an empty prompt", path, "--start=");
    assert_fails(EXIT_USAGE, "--start: an empty prompt", path, "--start", "");
    assert_fails(EXIT_USAGE, "--start: line 1, character 4: 'Z' (U+005A) is not in the vocabulary",
                 path,
                 "--start=\xc3\xa9"
                 "bcZ");
    assert_fails(EXIT_USAGE, "--start: line 2, character 2: 'ü' (U+00FC)", path, "--start=abc\naü");
    assert_fails(EXIT_USAGE, "--start: line 1, character 2: byte 0xff is not UTF-8", path,
                 "--start=a\xff");
    assert_fails(EXIT_MISSING, "cannot read the prompt", path, flag);
    suite_write("prompt.txt", "", 0);
    assert_fails(EXIT_DATA, "prompt.txt: an empty prompt", path, flag);
    suite_write("prompt.txt", "ab\0c", 4);
    assert_fails(EXIT_DATA, "prompt.txt: line 1, character 3: '", path, flag);
    suite_write("prompt.txt", "\n\nab\xe4\xb8", 6);
    assert_fails(EXIT_DATA, "prompt.txt: line 3, character 3: byte 0xe4 is not UTF-8", path, flag);
    snprintf(flag, sizeof flag, "--start=FILE:%s", suite_dir);
    assert_fails(EXIT_IO, "cannot read the prompt", path, flag);
}
END_TEST

START_TEST(test_main_bad_checkpoints) {
    assert_fails(EXIT_MISSING, "ckpt.safetensors: cannot open", path);
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.tensors[1].dims[0] = 5;
    checkpoint_write(&c);
    assert_fails(EXIT_DATA, "build one with block_size=5", path);
    // The tied head, which nothing reads, is the last tensor.
    for (int before = 0; before < 2; before++) {
        write_good_checkpoint();
        int file = open(path, O_RDWR);
        struct stat status;
        ck_assert_int_eq(fstat(file, &status), 0);
        const off_t head = before * (off_t)sizeof(float[FAKE_V][FAKE_C]);
        ck_assert_int_eq(pwrite(file, "@", 1, status.st_size - 1 - head), 1);
        close(file);
        if (before) {
            assert_fails(EXIT_DATA, "tensor 'transformer.", path);
        } else {
            ck_assert_int_eq(run(path, "--max_new_tokens=3"), EXIT_DONE);
            assert_fails(EXIT_DATA, "tensor 'lm_head.weight'", path, "--verify");
        }
    }
}
END_TEST

START_TEST(test_main_text) {
    write_good_checkpoint();
    ck_assert_int_eq(
        run(path, "--start=ab中", "--num_samples=2", "--max_new_tokens", "40", "--temperature=0"),
        EXIT_DONE);
    ck_assert_str_eq(err, "");
    struct sequence wanted = {.ids = {2, 3, 9}, .count = 3};
    struct sampling greedy = {.top_p = 1};
    generate_by_recomputing(&wanted, 40, &greedy, 10, 0);
    static const char *const letters[] = {"\n", " ", "a", "b", "c", "d", "e", "f", "é", "中"};
    char expected[1024] = "";
    for (int sample = 0; sample < 2; sample++) {
        for (int i = 0; i < wanted.count; i++) {
            strcat(expected, letters[wanted.ids[i]]);
        }
        strcat(expected, "\n---------------\n");
    }
    ck_assert_str_eq(out, expected);
}
END_TEST

// Within the context --slide=half changes nothing; beyond, the older half goes. What the default
// costs is said if a text may go that far.
START_TEST(test_main_slide) {
    write_good_checkpoint();
    const char *const flags[] = {"--start=abc", "--num_samples=1", "--temperature=0"};
    char within[1024];
    ck_assert_int_eq(run(path, flags[0], flags[1], flags[2], "--max_new_tokens=6"), EXIT_DONE);
    ck_assert(!said_slide);
    strcpy(within, out);
    ck_assert_int_eq(run(path, flags[0], flags[1], flags[2], "--max_new_tokens=6", "--slide=half"),
                     EXIT_DONE);
    ck_assert_str_eq(out, within);
    ck_assert_int_eq(run(path, flags[0], flags[1], flags[2], "--max_new_tokens=7", "--slide=one"),
                     EXIT_DONE);
    ck_assert(said_slide);
    ck_assert_int_eq(run(path, flags[0], flags[1], flags[2], "--max_new_tokens=40", "--slide=half"),
                     EXIT_DONE);
    ck_assert(!said_slide);
    ck_assert_mem_eq(out, within, strlen(within) - strlen("\n---------------\n"));
    struct sequence wanted = {.ids = {2, 3, 4}, .count = 3};
    const struct sampling greedy = {.top_p = 1};
    generate_by_halves(&wanted, 40, &greedy, 10, 0);
    static const char *const letters[] = {"\n", " ", "a", "b",        "c",
                                          "d",  "e", "f", "\303\251", "\344\270\255"};
    char expected[1024] = "";
    for (int i = 0; i < wanted.count; i++) {
        strcat(expected, letters[wanted.ids[i]]);
    }
    ck_assert_str_eq(out, strcat(expected, "\n---------------\n"));
}
END_TEST

// The default prompt is in the model's vocabulary.
START_TEST(test_main_without_line_ends) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[1] = "char 23 61 62 63 64 65 66 67 e9 4e2d";
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--max_new_tokens=0", "--num_samples=1"), EXIT_DONE);
    ck_assert_str_eq(out, "#\n---------------\n");
    assert_fails(EXIT_USAGE, "'?' (U+000A) is not in the vocabulary", path, "--start=\n");
}
END_TEST

START_TEST(test_main_same_text) {
    setenv("DIECAST_PROCESSORS", "4", 1); // so that every machine runs as many threads
    write_good_checkpoint();
    const char *const flags[] = {"--threads=1", "--threads=2",    "--threads=4",     "--device=cpu",
                                 "--verify",    "--verify=False", "--num_samples=10"};
    static char first[1 << 16];
    ck_assert_int_eq(run(path), EXIT_DONE);
    strcpy(first, out);
    ck_assert_uint_gt(strlen(first), 5000);
    int samples = 0;
    for (const char *at = first; (at = strstr(at, "\n---------------\n")) != NULL; at++) {
        samples++;
    }
    ck_assert_int_eq(samples, 10);
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(run("--checkpoint", path, flags[i]), EXIT_DONE);
        ck_assert_str_eq(out, first);
    }
    suite_write("prompt.txt", "\n", 1);
    char flag[1024];
    snprintf(flag, sizeof flag, "FILE:%s", suite_path("prompt.txt"));
    ck_assert_int_eq(run(path, "--start", flag), EXIT_DONE);
    ck_assert_str_eq(out, first);
    ck_assert_int_eq(run(path, "--seed=1338"), EXIT_DONE);
    ck_assert_str_ne(out, first);
    ck_assert_int_eq(run(path, "--num_samples=3"), EXIT_DONE); // the first three of the ten
    ck_assert_mem_eq(out, first, strlen(out));
    ck_assert_int_eq(run(path, "--num_samples=0"), EXIT_DONE);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(run(path, "--max_new_tokens=0", "--start=abc", "--num_samples=1"), EXIT_DONE);
    ck_assert_str_eq(out, "abc\n---------------\n");
}
END_TEST

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

// Runs the program with `input` as its stdin.
static int run_with_input(const char *input, const char *const *arguments) {
    suite_write_text("in", input);
    const int before = dup(0), file = open(suite_path("in"), O_RDONLY);
    ck_assert_int_ge(file, 0);
    dup2(file, 0);
    close(file);
    const int code = run_into(NULL, arguments);
    dup2(before, 0);
    close(before);
    return code;
}

START_TEST(test_main_interactive) {
    write_good_checkpoint();
    // the context is the whole conversation: start, lines and answers
    struct sequence wanted = {.ids = {4, 2, 3, 0}, .count = 4};
    struct sampling greedy = {.top_p = 1};
    static const char *const letters[] = {"\n", " ", "a", "b",        "c",
                                          "d",  "e", "f", "\303\251", "\344\270\255"};
    char expected[1024] = "c";
    for (uint32_t turn = 0; turn < 3; turn++) {
        const int from = wanted.count;
        generate_by_recomputing(&wanted, 5, &greedy, 10, turn);
        for (int i = from; i < wanted.count; i++) {
            strcat(expected, letters[wanted.ids[i]]);
        }
        strcat(expected, "\n");
        if (turn == 0) {
            sequence_append(&wanted, 5);
            sequence_append(&wanted, 0);
        } else {
            sequence_append(&wanted, 6); // the last line has no newline
        }
    }
    const char *const arguments[] = {
        path, "--interactive", "--temperature=0", "--max_new_tokens=5", "--start=c", NULL};
    ck_assert_int_eq(run_with_input("ab\nd\ne", arguments), EXIT_DONE);
    ck_assert_str_eq(out, expected);
    ck_assert_str_eq(err, "");
    ck_assert(said_slide);
    // drafts change no text
    const char *const drafts[] = {
        path,        "--interactive", "--temperature=0", "--max_new_tokens=5",
        "--start=c", "--lookup=4",    "--timing",        NULL};
    ck_assert_int_eq(run_with_input("ab\nd\ne", drafts), EXIT_DONE);
    ck_assert_str_eq(out, expected);
    ck_assert_ptr_nonnull(strstr(err, "lookup: "));
    // a line that is not of the vocabulary gets a line, and is left out
    ck_assert_int_eq(run_with_input("ab\nZ\nd\ne", arguments), EXIT_DONE);
    ck_assert_str_eq(out, expected);
    ck_assert_ptr_nonnull(strstr(err, "the line: line 1, character 1: 'Z'"));
}
END_TEST

// A signal ends an answer; the next line gets another one.
START_TEST(test_main_interrupted) {
    write_good_checkpoint();
    int in[2], from[2];
    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(from), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        if (dup2(in[0], 0) < 0 || dup2(from[1], 1) < 0) {
            _exit(99);
        }
        close(in[1]);
        close(from[0]);
        exit(sample_main(5, (char *[]){"sample", (char *)path, "--interactive", "--json",
                                       "--max_new_tokens=1000000000", NULL}));
    }
    close(in[0]);
    close(from[1]);
    char line[1 << 16];
    for (int turn = 0; turn < 3; turn++) {
        ck_assert_int_eq(write(in[1], "ab\n", 3), 3);
        struct pollfd answer = {.fd = from[0], .events = POLLIN};
        while (poll(&answer, 1, 20) == 0) { // the answer does not end by itself
            ck_assert_int_eq(kill(child, SIGINT), 0);
        }
        size_t length = 0;
        for (char one = 0; one != '\n';) { // its beginning is kept
            ck_assert_int_eq(read(from[0], &one, 1), 1);
            line[length] = one;
            length += length + 2 < sizeof line;
        }
        line[length] = 0;
        ck_assert_ptr_nonnull(strstr(line, "\"finish_reason\":\"interrupt\""));
    }
    close(in[1]);
    close(from[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_DONE);
}
END_TEST

// Reads from a terminal until `text` has come, or, if that is NULL, 100 bytes.
static void terminal_read(int terminal, const char *text) {
    static char seen[1 << 20];
    for (size_t length = 0; text ? length == 0 || !strstr(seen, text) : length < 100;) {
        struct pollfd more = {.fd = terminal, .events = POLLIN};
        if (length == sizeof seen - 1) {
            length = 0; // an answer goes on until it is told to end
        }
        ck_assert_msg(poll(&more, 1, 60000) == 1, "no '%s' came: %s", text, seen);
        const ssize_t got = read(terminal, seen + length, sizeof seen - 1 - length);
        ck_assert_int_gt(got, 0);
        length += (size_t)got;
        seen[length] = '\0';
    }
}

static pid_t terminal_start(int *terminal, const char *mode) {
    fflush(NULL);
    const pid_t child = forkpty(terminal, NULL, NULL, NULL);
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        exit(sample_main(5, (char *[]){"sample", (char *)path, (char *)mode, "--slide=half",
                                       "--max_new_tokens=1000000000", NULL}));
    }
    return child;
}

// On a terminal text comes while the answer, which has no end, is written; Ctrl-C ends it, and the
// program asks for the next line; Ctrl-D ends the program.
START_TEST(test_main_terminal) {
    write_good_checkpoint();
    int terminal, status;
    const pid_t child = terminal_start(&terminal, "--interactive");
    terminal_read(terminal, "> ");
    for (int turn = 0; turn < 3; turn++) {
        ck_assert_int_eq(write(terminal, "ab\n", 3), 3);
        terminal_read(terminal, "ab\r\n"); // what was typed
        terminal_read(terminal, NULL);     // and a part of an answer
        ck_assert_int_eq(write(terminal, "\3", 1), 1);
        terminal_read(terminal, "\n> ");
    }
    // Where there is nothing to end, another line is asked for: once the program waits for one.
    struct pollfd more = {.fd = terminal, .events = POLLIN};
    for (char one = 0; one != '>';) {
        ck_assert_int_eq(write(terminal, "\3", 1), 1);
        while (one != '>' && poll(&more, 1, 20) == 1) {
            ck_assert_int_eq(read(terminal, &one, 1), 1);
        }
    }
    ck_assert_int_eq(write(terminal, "\4", 1), 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_DONE);
    close(terminal);
}
END_TEST

// So it does without a conversation, where Ctrl-C ends the program.
START_TEST(test_main_streams) {
    write_good_checkpoint();
    int terminal, status;
    const pid_t child = terminal_start(&terminal, "--num_samples=2");
    terminal_read(terminal, NULL);
    ck_assert_int_eq(write(terminal, "\3", 1), 1);
    while (waitpid(child, &status, WNOHANG) == 0) { // it may wait for someone to read
        struct pollfd more = {.fd = terminal, .events = POLLIN};
        char bytes[4096];
        if (poll(&more, 1, 10) == 1 && read(terminal, bytes, sizeof bytes) < 0) {
            ck_assert_int_eq(waitpid(child, &status, 0), child);
            break;
        }
    }
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGINT);
    close(terminal);
}
END_TEST

START_TEST(test_main_says) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[3] =
        "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12 dropout=0.2 activation=relu "
        "bias=True";
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--num_samples=1"), EXIT_DONE);
    // dropout matters to training alone
    ck_assert_ptr_nonnull(strstr(err, "ckpt.safetensors: trained with bias=True, this sampler has "
                                      "bias=nothing; "));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    checkpoint_fill(&c);
    c.metadata[3] = "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12 dropout=0 isa=avx512";
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--num_samples=1"), EXIT_DONE);
    ck_assert_str_eq(err, "");
    write_good_checkpoint();
    ck_assert_int_eq(run(path, "--num_samples=1", "--verify"), EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(err, "6 of 6 tensors have a hash; all of these agree\n"));
    ck_assert_int_eq(run(path, "--num_samples=1", "--compile=False", "--device", "cuda"),
                     EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(err, "--device: this sampler runs on the CPU"));
    ck_assert_ptr_nonnull(strstr(err, "--compile: "));
}
END_TEST

// Finite weights that give logits which are not finite: one line instead of meaningless text.
START_TEST(test_main_not_finite) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    for (int i = 0; i < FAKE_C; i++) {
        fake_storage[FAKE_TENSORS - 2][i] = 3e38f; // ln_f
    }
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--start=ab"), EXIT_DATA);
    ck_assert_ptr_nonnull(
        strstr(err, "ckpt.safetensors: its weights give logits that are not finite"));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    ck_assert_str_eq(out, "ab");
}
END_TEST

// Writing to a full device fails with one line, and without one if nobody reads.
START_TEST(test_main_write_errors) {
    write_good_checkpoint();
    const char *const arguments[] = {path, "--start=ab", "--max_new_tokens=6", NULL};
    ck_assert_int_eq(run_into("/dev/full", arguments), EXIT_IO);
    ck_assert_str_eq(err, "stdout: cannot write: No space left on device; make room and start "
                          "again\n");
    file_limit = 100; // which err must fit in too
    ck_assert_int_eq(run_into(suite_path("text"), arguments), EXIT_IO);
    ck_assert_str_eq(err, "stdout: cannot write: File too large; make room and start again\n");
    file_limit = RLIM_INFINITY;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int err_fd = open(suite_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (err_fd < 0 || dup2(ends[1], 1) < 0 || dup2(err_fd, 2) < 0) {
            _exit(99);
        }
        exit(sample_main(2, (char *[]){"sample", (char *)path, NULL}));
    }
    close(ends[1]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_IO);
    slurp("err", err, sizeof err);
    strip_slide();
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(test_main_attention) {
    setenv("DIECAST_PROCESSORS", "4", 1);
    write_good_checkpoint();
    char flag[1024];
    snprintf(flag, sizeof flag, "--attention=%s", suite_path("heads.json"));
    // the weights are l + 1 shared by the tokens so far: fake_sampler.c; \303\251 is e with an
    // acute
    ck_assert_int_eq(run(path, flag, "--start=a\nb\303\251"), EXIT_DONE);
    ck_assert_str_eq(out, "");
    ck_assert_msg(strstr(err, "heads.json: the attention weights of 4 tokens in 2 layers"), "%s",
                  err);
    size_t length;
    char *text = suite_read("heads.json", &length);
    const char *const start = "{\"prompt\":\"a\\u000ab\303\251\",\n\"ids\":[";
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%s", text);
    const char *const end = "],\n\"tokens\":[\"a\",\"\\u000a\",\"b\",\"\303\251\"],\n"
                            "\"n_layer\":2,\"n_head\":1,\"n_tokens\":4,\n\"attention\":"
                            "[[[[1,0,0,0],\n[0.5,0.5,0,0],\n[0.333333343,0.333333343,0.333333343,0]"
                            ",\n[0.25,0.25,0.25,0.25]]],\n"
                            "[[[2,0,0,0],\n[1,1,0,0],\n[0.666666687,0.666666687,0.666666687,0],\n["
                            "0.5,0.5,0.5,0.5]]]]}\n";
    ck_assert_msg(strlen(text) > strlen(end) && strcmp(text + length - strlen(end), end) == 0, "%s",
                  text);
    const char *error;
    struct json *json = json_parse(text, length, &error);
    ck_assert_ptr_nonnull(json);
    json_free(json);
    free(text);

    // if it fails, the file is unchanged
    assert_fails(EXIT_USAGE,
                 "--start: the prompt has 9 tokens, and this model's context has 8; give 8 at most",
                 path, flag, "--start=ababababa");
    assert_fails(EXIT_USAGE, "--attention: no path", path, "--attention=");
    assert_fails(EXIT_IO, "cannot write", path, "--attention=/nowhere/heads.json", "--start=a");
    assert_fails(EXIT_IO, "is not a regular file", path, "--attention=/dev/null", "--start=a");
    ck_assert(suite_exists("heads.json"));
    ck_assert(!suite_exists("heads.json.tmp"));
    // a text too, if asked for; all the context; any number of threads
    ck_assert_int_eq(
        run(path, flag, "--start=abababab", "--num_samples=1", "--max_new_tokens=0", "--threads=3"),
        EXIT_DONE);
    ck_assert_str_eq(out, "abababab\n---------------\n");
    text = suite_read("heads.json", &length);
    ck_assert_ptr_nonnull(strstr(text, "\"n_tokens\":8,"));
    free(text);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        test_main_help,
        test_main_bad_flags,
        test_main_bad_prompts,
        test_main_bad_checkpoints,
        test_main_text,
        test_main_slide,
        test_main_without_line_ends,
        test_main_same_text,
        test_main_says,
        test_main_not_finite,
        test_main_write_errors,
        test_main_attention,
        test_main_json,
        test_main_json_bytes,
        test_main_stop,
        test_main_tokens_and_score,
        test_main_prompts,
        test_main_bad_prompt_lines,
        test_main_any_seed,
        test_main_interactive,
        test_main_interrupted,
        test_main_terminal,
        test_main_streams,
    };
    return suite_main_with("sampler: main", set_up, tests, sizeof tests / sizeof tests[0]);
}
