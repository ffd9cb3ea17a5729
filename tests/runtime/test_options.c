// test_options.c: the flags of a trainer: what they set, which are refused and with which message.
// links: tests/runtime/fake_model.c
#include "tests/runtime/fake_model.h"
#include "tests/runtime/suite.h"

struct words {
    const char *word[4];
};

static struct run parse(struct words words) {
    struct run run = run_defaults;
    char *argv[6] = {"train"};
    int argc = 1;
    for (int i = 0; i < 4 && words.word[i]; i++) {
        argv[argc++] = (char *)words.word[i];
    }
    options_parse(&run, argc, argv);
    return run;
}

static void parse_words(void *context) {
    parse(*(const struct words *)context);
}

#define refused(flag, ...)                                                                         \
    suite_dies(parse_words, (&(struct words){{flag}}), EXIT_USAGE, __VA_ARGS__)

START_TEST(values) {
    struct run run = parse((struct words){{"--max_iters=500", "--learning_rate", "5e-4"}});
    ck_assert_int_eq(run.max_iters, 500);
    ck_assert(run.learning_rate == 5e-4);
    ck_assert(run.beta2 == run_defaults.beta2);
    run = parse((struct words){{"--eval_only=True", "--decay_lr", "0", "--out_dir=out/a b"}});
    ck_assert(run.eval_only);
    ck_assert(!run.decay_lr);
    ck_assert_str_eq(run.out_dir, "out/a b");
    run = parse((struct words){{"--verify", "--csv"}}); // a switch that is off, by its name alone
    ck_assert(run.verify && run.csv);
    run = parse((struct words){{"--seed=1", "--seed=2", "--min_lr=0"}});
    ck_assert_int_eq(run.seed, 2); // the last one wins
    ck_assert(run.min_lr == 0);
    ck_assert_str_eq(parse((struct words){{"--out_dir="}}).out_dir, "");
}
END_TEST

START_TEST(wrong_values) {
    refused("--max_iters=1e3", "--max_iters", "'1e3' is not an integer");
    refused("--max_iters=", "--max_iters", "'' is not an integer");
    refused("--max_iters= 5", "is not an integer");
    refused("--max_iters=5x", "is not an integer");
    refused("--max_iters=-1", "--max_iters: -1 is out of range");
    refused("--max_iters=99999999999999999999", "out of range");
    refused("--eval_interval=0", "--eval_interval: 0 is out of range");
    refused("--learning_rate=nan", "'nan' is not a number");
    refused("--learning_rate=inf", "'inf' is not a number");
    refused("--learning_rate=0x1p3", "is not a number");
    refused("--learning_rate=1e999", "is not a number");
    refused("--learning_rate=fast", "--learning_rate: 'fast' is not a number");
    refused("--learning_rate=-1", "out of range");
    ck_assert(parse((struct words){{"--dropout=0.5"}}).dropout == 0.5); // the fake has it built in
    refused("--dropout=1.5", "--dropout: 1.5 is out of range");
    refused("--decay_lr=yes", "'yes' is neither True nor False");
    refused("--dataset=a\"b", "--dataset", "leave it out");
    refused("--dataset=a b", "--dataset", "leave it out");
    refused("--schedule=cosin",
            "--schedule: 'cosin' is none of its values; give cosine, linear or constant");
    refused("--decay_lr", "--decay_lr: no value"); // which is on
    refused("config/train.py", "config/train.py: no flag", "fake, is built in");
}
END_TEST

START_TEST(unknown_keys) {
    refused("--max_iter=5", "unknown key 'max_iter'; did you mean 'max_iters'?");
    refused("--n_embed=64", "unknown key 'n_embed'; did you mean 'n_embd'?");
    refused("--lr=1e-3", "unknown key 'lr'; did you mean 'learning_rate'?");
    refused("--colour=red", "unknown key 'colour'; --help lists all");
    refused("--", "unknown key ''");
    refused("--a_key_that_is_much_longer_than_any_key_that_there_is_or_ever_will_be=1",
            "unknown key");
}
END_TEST

START_TEST(baked_keys) {
    refused("--n_layer=6", "--n_layer=6: baked into this trainer as n_layer=2",
            "make train CONFIG=fake SET=\"n_layer=6\"");
    refused("--dtype=bfloat16", "dtype");
}
END_TEST

static void parse_foreign(void *context) {
    (void)context;
    parse((struct words){{"--device=cpu", "--compile=False", "--dtype=float32", "--wandb_log"}});
}

START_TEST(foreign_keys) {
    struct ending ending = suite_run(parse_foreign, NULL);
    ck_assert_int_eq(ending.code, 0);
    ck_assert_ptr_nonnull(strstr(ending.text, "--device=cpu has no effect: "));
    ck_assert_ptr_nonnull(strstr(ending.text, "--compile=False has no effect: "));
    ck_assert_ptr_nonnull(strstr(ending.text, "--dtype=float32 has no effect: "));
    ck_assert_ptr_nonnull(strstr(ending.text, "--wandb_log= has no effect: "));
}
END_TEST

static void parse_help(void *context) {
    (void)context;
    ck_assert_ptr_nonnull(freopen(suite_path("help"), "w", stdout));
    parse((struct words){{"--help"}});
}

START_TEST(help) {
    ck_assert_int_eq(suite_run(parse_help, NULL).code, 0);
    size_t length;
    char *text = suite_read("help", &length);
#define RUN_KEY(type, name, min, max, changes_results, values, help)                               \
    ck_assert_msg(strstr(text, "--" #name " ") && strstr(text, help), "no help for " #name);
#include "run_keys.h"
#undef RUN_KEY
    ck_assert_ptr_nonnull(strstr(text, "n_layer=2"));
    ck_assert_ptr_nonnull(strstr(text, " 0.01 "));
    free(text);
}
END_TEST

// A file beside the program has make's words; without it the config's name is used.
START_TEST(words_of_make) {
    const struct {
        const char *beside, *setting, *words;
    } cases[] = {{NULL, "n_layer=6", "CONFIG=fake SET=\"n_layer=6\""},
                 {"CONFIG=a/b.lua\n\n", "", "CONFIG=a/b.lua"},
                 {"CONFIG=b BACKEND=cuda\nseed=3 bias=true\n", "seed=4",
                  "CONFIG=b BACKEND=cuda SET=\"bias=true seed=4\""}};
    char path[MACHINE_PATH];
    ck_assert(!machine_beside("words", R_OK, path));
    for (int i = 0; i < 3; i++) {
        FILE *file = cases[i].beside ? fopen(path, "w") : NULL;
        if (file) {
            fputs(cases[i].beside, file);
            fclose(file);
        }
        char *words = options_words(cases[i].setting);
        ck_assert_str_eq(words, cases[i].words);
        free(words);
    }
    unlink(path);
}
END_TEST

START_TEST(text_of_a_run) {
    struct run run = run_defaults;
    run.learning_rate = 0.1 + 0.2; // as many digits as it takes
    run.threads = 7;
    char *text = options_text(&run);
    struct pair pair;
    ck_assert(pairs_find(text, "learning_rate", 13, &pair));
    ck_assert_int_eq(pair.value_length, 19);
    ck_assert(strtod(pair.value, NULL) == run.learning_rate);
    ck_assert(pairs_find(text, "decay_lr", 8, &pair));
    ck_assert_int_eq(strncmp(pair.value, "True", 4), 0);
    ck_assert(!pairs_find(text, "threads", 7, &pair)); // does not change results
    ck_assert(!pairs_find(text, "out_dir", 7, &pair));
    free(text);
}
END_TEST

// ---- pairs.c and figures.c ----------------------------------------------------------------------

static void differ(void *context, const struct pair *then, const struct pair *now) {
    char *list = context;
    sprintf(list + strlen(list), "%.*s:%.*s>%.*s ", now->key_length, now->key, then->value_length,
            then->value, now->value_length, now->value);
}

START_TEST(pairs) {
    char list[256] = "";
    ck_assert_int_eq(keys_compare("a=1 b=2 c=3", "a=1 b=2 c=3", differ, list), 0);
    ck_assert_str_eq(list, "");
    ck_assert_int_eq(keys_compare("a=1 b=2 bb=5 d=4", "bb=5 a=1  b=22 e=", differ, list), 3);
    ck_assert_str_eq(list, "b:2>22 e:nothing> d:4>nothing ");
    list[0] = 0;
    ck_assert_int_eq(keys_compare("", "x=1", differ, list), 1);
    ck_assert_str_eq(list, "x:nothing>1 ");
}
END_TEST

START_TEST(paths_as_typed) {
    static const char *const cases[][2] = {{"out/a-n_layer=4", "out/a-n_layer=4"},
                                           {"my runs/a", "'my runs/a'"},
                                           {"it's", "'it'\\''s'"},
                                           {"$x`", "'$x`'"},
                                           {"", "''"}};
    for (int i = 0; i < 5; i++) {
        char *word = shell_word(cases[i][0]);
        ck_assert_str_eq(word, cases[i][1]);
        free(word);
    }
}
END_TEST

START_TEST(numbers_for_people) {
    ck_assert_str_eq(figure_count(0).s, "0");
    ck_assert_str_eq(figure_count(999).s, "999");
    ck_assert_str_eq(figure_count(16384).s, "16,384");
    ck_assert_str_eq(figure_count(-124439808).s, "-124,439,808");
    ck_assert_str_eq(figure_count(INT64_MIN).s, "-9,223,372,036,854,775,808");
    ck_assert_str_eq(figure_bytes(999).s, "999 bytes");
    ck_assert_str_eq(figure_bytes(45300000).s, "45.3 MB");
    ck_assert_str_eq(figure_bytes(1.8e19).s, "18.0 EB");
    ck_assert_str_eq(figure_seconds(12.4).s, "12s");
    ck_assert_str_eq(figure_seconds(200).s, "3m20s");
    ck_assert_str_eq(figure_seconds(7380).s, "2h03m");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        values,        wrong_values,  unknown_keys, baked_keys,         foreign_keys,   help,
        words_of_make, text_of_a_run, pairs,        numbers_for_people, paths_as_typed,
    };
    return suite_main("options", tests, sizeof tests / sizeof tests[0]);
}
