// test_sampler_main.c: the sampler's command line on a fake model: flags, prompts, texts, files.
// links: tests/runtime/fake_sampler.c
// links: runtime/programs/sample/flags.c runtime/programs/sample/prompt.c
// links: runtime/programs/sample/output.c runtime/programs/sample/tokens_json.c
// links: runtime/programs/sample/answer.c runtime/programs/sample/ids.c
// links: runtime/programs/sample/score.c runtime/programs/sample/interactive.c
// links: runtime/programs/sample/samples.c runtime/programs/sample/prompts.c
#include "tests/runtime/sampler_main.h"

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
    };
    return suite_main_with("sampler: main", set_up, tests, sizeof tests / sizeof tests[0]);
}
