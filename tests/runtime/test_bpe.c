// test_bpe.c: GPT-2's encoding with a small made-up list of merges: the pieces compared with PCRE2,
// a piece's tokens with a direct implementation of the rule, and the tokenizers that are refused.
// test_gpt2.c has the real merges.
// libraries: libpcre2-8
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tests/runtime/suite.h"

#include "tests/runtime/assigned.h"

// ---- pieces, against PCRE2 ----------------------------------------------------------------------

// \s is White_Space in GPT-2's tokenizers; PCRE2's \s also has U+180E, which is not White_Space
// since Unicode 6.3.
static const char pattern[] = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+"
                              "| ?[^\\p{White_Space}\\p{L}\\p{N}]+"
                              "|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";

struct regex {
    pcre2_code *code;
    pcre2_match_data *match;
};

static struct regex regex_open(const char *text) {
    int error;
    PCRE2_SIZE at;
    struct regex regex;
    regex.code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                               &error, &at, NULL);
    ck_assert_msg(regex.code != NULL, "PCRE2 refuses %s at %zu: error %d", text, at, error);
    pcre2_jit_compile(regex.code, PCRE2_JIT_COMPLETE); // without it, it is only slower
    regex.match = pcre2_match_data_create(1, NULL);
    return regex;
}

// The length of the match at `at`, or 0.
static size_t regex_match(const struct regex *regex, const char *text, size_t length, size_t at) {
    int found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, at,
                            PCRE2_ANCHORED | (at > 0 ? PCRE2_NO_UTF_CHECK : 0), regex->match, NULL);
    return found < 1 ? 0 : pcre2_get_ovector_pointer(regex->match)[1] - at;
}

static void regex_close(struct regex *regex) {
    pcre2_code_free(regex->code);
    pcre2_match_data_free(regex->match);
}

static void show(const char *text, size_t length, char *out, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < length && used + 3 < room; i++) {
        used += (size_t)snprintf(out + used, room - used, "%02x ", (unsigned char)text[i]);
    }
}

static void same_pieces(const struct regex *regex, const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t piece = pretokenize(PRETOKENIZER_GPT2, text + at, length - at);
        size_t wanted = regex_match(regex, text, length, at);
        if (piece != wanted) {
            char bytes[100];
            show(text + at, length - at, bytes, sizeof bytes);
            ck_abort_msg("a piece of %zu bytes, PCRE2 says %zu, of: %s", piece, wanted, bytes);
        }
        at += piece;
    }
}

// The code points that are assigned both in this version of Unicode and in PCRE2's.
static bool *known_code_points(void) {
    bool *known = calloc(0x110000, sizeof *known);
    struct regex none = regex_open("\\p{Cn}");
    for (size_t i = 0; i + 1 < sizeof assigned_edges / sizeof *assigned_edges; i += 2) {
        for (uint32_t c = assigned_edges[i]; c < assigned_edges[i + 1]; c++) {
            char text[4];
            size_t length = (size_t)utf8_encode(c, text);
            known[c] = regex_match(&none, text, length, 0) == 0;
        }
    }
    regex_close(&none);
    return known;
}

START_TEST(every_code_point_is_cut_as_pcre2_does) {
    static const char *const around[][2] = {
        {"", ""},     {"a", ""},    {"", "a"},          {"1", ""},   {"", "1"},
        {"!", ""},    {"", "!"},    {" ", ""},          {"", " "},   {" ", " "},
        {"  ", "a"},  {"\n", "\n"}, {"'", ""},          {"'s", ""},  {"a ", "1"},
        {"1  ", "!"}, {"\t", "  "}, {" \xc2\xa0", " "}, {"l'l", "l"}};
    bool *known = known_code_points();
    struct regex regex = regex_open(pattern);
    int count = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (!known[c]) {
            continue;
        }
        // One text of them all, separated by a letter and a mark, which end pieces.
        char text[400], once[5] = {0};
        size_t used = 0;
        int bytes = utf8_encode(c, once);
        same_pieces(&regex, once, (size_t)bytes);
        for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
            for (const char *s = around[i][0]; *s; s++) {
                text[used++] = *s;
            }
            memcpy(text + used, once, (size_t)bytes);
            used += (size_t)bytes;
            for (const char *s = around[i][1]; *s; s++) {
                text[used++] = *s;
            }
            memcpy(text + used, i % 2 ? "x;" : ";x", 2);
            used += 2;
        }
        memcpy(text + used, once, (size_t)bytes); // and at the end, after a space
        same_pieces(&regex, text, used + (size_t)bytes);
        count++;
    }
    ck_assert_int_gt(count, 280000);
    regex_close(&regex);
    free(known);
}
END_TEST

START_TEST(mixed_text_is_cut_as_pcre2_does) {
    static const char *const parts[] = {" ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\t",
                                        "'s",
                                        "'t",
                                        "'re",
                                        "'ve",
                                        "'ll",
                                        "'d",
                                        "'m",
                                        "'S",
                                        "'",
                                        "a",
                                        "Z",
                                        "word",
                                        "it",
                                        "0",
                                        "42",
                                        ".",
                                        "...",
                                        "-",
                                        "(",
                                        "\xc2\xa0",
                                        "\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "\xe3\x80\x80", // spaces
                                        "\xe1\xa0\x8e",
                                        "\xe2\x80\x8b",
                                        "\xef\xbb\xbf",
                                        "\x1c", // none
                                        "\xc3\xa9",
                                        "e\xcc\x81",
                                        "\xd0\xb6",
                                        "\xe4\xb8\xad",
                                        "\xe0\xa4\xa8\xe0\xa5\x8d",
                                        "\xd8\xb9\xd8\xb1",
                                        "\xea\xb0\x80",
                                        "\xe3\x81\x82",
                                        "\xc2\xb2",
                                        "\xe2\x85\xab",
                                        "\xd9\xa3",
                                        "\xf0\x9d\x9f\x98", // numbers
                                        "\xf0\x9f\x98\x80",
                                        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
                                        "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa",
                                        "\xe2\x9d\xa4\xef\xb8\x8f",
                                        "\xe2\x80\x99s",
                                        "\0"};
    enum { PARTS = sizeof parts / sizeof *parts };
    struct regex regex = regex_open(pattern);
    for (uint32_t i = 0; i < 100000; i++) {
        char text[512];
        size_t used = 0;
        int count = (int)rng_below(rng_bits(1, 2, i, 0), 12) + 1;
        for (int p = 0; p < count; p++) {
            const char *part = parts[rng_below(rng_bits(1, 3, i, (uint32_t)p), PARTS)];
            size_t length = *part ? strlen(part) : 1;
            memcpy(text + used, part, length);
            used += length;
        }
        same_pieces(&regex, text, used);
    }
    regex_close(&regex);
}
END_TEST

START_TEST(runs_of_spaces_are_cut_as_pcre2_does) {
    static const char *const spaces[] = {" ", "\n", "\t", "\r", "\xc2\xa0", "\xe2\x80\xa9"};
    static const char *const behind[] = {
        "", "a", "1", ".", "'s", "\xf0\x9f\x98\x80", "\xe1\xa0\x8e"};
    struct regex regex = regex_open(pattern);
    for (int space = 0; space < 6; space++) {
        for (int last = 0; last < 6; last++) {
            for (int length = 1; length <= 40; length++) {
                for (int b = 0; b < 7; b++) {
                    char text[400] = "x";
                    for (int i = 1; i < length; i++) {
                        strcat(text, spaces[space]);
                    }
                    strcat(text, spaces[last]);
                    strcat(text, behind[b]);
                    same_pieces(&regex, text, strlen(text));
                    same_pieces(&regex, text + 1, strlen(text) - 1);
                }
            }
        }
    }
    regex_close(&regex);
}
END_TEST

START_TEST(any_bytes_are_cut_into_pieces_that_end) {
    for (uint32_t i = 0; i < 20000; i++) {
        size_t length = rng_below(rng_bits(5, 6, i, 0), 24) + 1;
        char *text = malloc(length); // of exactly this size, so that a read past its end is found
        for (size_t k = 0; k < length; k++) {
            static const char some[] = " 'a1\xc3\xe2\x80\xf0\xff\n";
            text[k] = some[rng_below(rng_bits(5, 7, i, (uint32_t)k), sizeof some - 1)];
        }
        for (size_t at = 0; at < length;) {
            size_t piece = pretokenize(PRETOKENIZER_GPT2, text + at, length - at);
            ck_assert_uint_gt(piece, 0);
            ck_assert_uint_le(piece, length - at);
            at += piece;
        }
        free(text);
    }
}
END_TEST

// ---- a tokenizer of a few merges ----------------------------------------------------------------

struct merge {
    int left, right;
};

// Bytes are their own ids, except for two that are swapped.
static char *tokenizer_string(const struct merge *merges, int count, const char *rest) {
    char *string = malloc(1024 + 8 * (size_t)count), *at = string;
    at += sprintf(at, "bpe gpt2 ");
    for (int i = 0; i < 256; i++) {
        at += sprintf(at, "%02x", i == 1 ? 2 : i == 2 ? 1 : i);
    }
    *at++ = ' ';
    for (int i = 0; i < count; i++) {
        at += sprintf(at, "%04x%04x", merges[i].left, merges[i].right);
    }
    sprintf(at, "%s", rest);
    return string;
}

static struct tokenizer tokenizer_of(const struct merge *merges, int count, const char *rest) {
    struct tokenizer tokenizer;
    const char *error;
    char *string = tokenizer_string(merges, count, rest);
    ck_assert_msg(tokenizer_parse(&tokenizer, string, &error), "%s", error);
    ck_assert_str_eq(tokenizer.text, string);
    free(string);
    return tokenizer;
}

// The rule literally: merge the pair whose merge comes first in the list, from left to right;
// repeat.
static int64_t encode_slowly(const struct merge *merges, int count, const char *piece, int length,
                             int32_t *ids) {
    for (int i = 0; i < length; i++) {
        int byte = (unsigned char)piece[i];
        ids[i] = byte == 1 ? 2 : byte == 2 ? 1 : byte;
    }
    for (;;) {
        int best = count;
        for (int i = 0; i + 1 < length; i++) {
            for (int m = 0; m < best; m++) {
                best = merges[m].left == ids[i] && merges[m].right == ids[i + 1] ? m : best;
            }
        }
        if (best == count) {
            return length;
        }
        int made = 0;
        for (int i = 0; i < length; made++) {
            bool here =
                i + 1 < length && ids[i] == merges[best].left && ids[i + 1] == merges[best].right;
            ids[made] = here ? 256 + best : ids[i];
            i += here ? 2 : 1;
        }
        length = made;
    }
}

// Made-up merges of the letters a to d, each of any two tokens so far.
static int make_merges(uint32_t seed, struct merge *merges, int most) {
    int count = 0, length[600] = {0};
    for (int i = 0; i < 256; i++) {
        length[i] = 1;
    }
    for (uint32_t k = 0; count < most; k++) {
        int side[2];
        for (uint32_t s = 0; s < 2; s++) {
            int pick = (int)rng_below(rng_bits(seed, s, k, 0), (uint64_t)(4 + count));
            side[s] = pick < 4 ? 'a' + pick : 256 + pick - 4;
        }
        bool there = length[side[0]] + length[side[1]] > 20;
        for (int m = 0; m < count; m++) {
            there = there || (merges[m].left == side[0] && merges[m].right == side[1]);
        }
        if (!there) {
            merges[count] = (struct merge){side[0], side[1]};
            length[256 + count++] = length[side[0]] + length[side[1]];
        }
    }
    return count;
}

// The pieces of a text's two parts are those of the whole, wherever it may be cut.
START_TEST(cut_texts_have_the_same_pieces) {
    static const char *const parts[] = {"a",
                                        "ll",
                                        "s",
                                        "'",
                                        "'s",
                                        " ",
                                        "  ",
                                        "\n",
                                        "7",
                                        "-",
                                        "!",
                                        "\xc3\xa9",
                                        "\xe3\x80\x80",
                                        "\xf0\x9f\x98\x80",
                                        "\xe4\xb8\x80"};
    enum { PARTS = sizeof parts / sizeof *parts };
    int cuts = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        char text[64];
        size_t length = 0;
        const size_t count = 2 + rng_below(rng_bits(5, round, 0, 1), 10);
        for (uint32_t i = 0; i < count; i++) {
            const char *part = parts[rng_below(rng_bits(5, round, i, 0), PARTS)];
            memcpy(text + length, part, strlen(part));
            length += strlen(part);
        }
        bool ends[65] = {false};
        for (size_t at = 0; at < length;) {
            at += pretokenize(PRETOKENIZER_GPT2, text + at, length - at);
            ends[at] = true;
        }
        for (size_t place = 1; place < length; place++) {
            const size_t cut = pretokenize_cut(PRETOKENIZER_GPT2, text, length, place);
            ck_assert(cut >= place && cut <= length);
            if (cut == length) {
                continue;
            }
            cuts++;
            ck_assert(ends[cut]);
            for (size_t at = 0; at < cut;) {
                at += pretokenize(PRETOKENIZER_GPT2, text + at, cut - at);
                ck_assert_msg(ends[at], "%.*s at %zu", (int)length, text, cut);
            }
            for (size_t at = cut; at < length;) {
                at += pretokenize(PRETOKENIZER_GPT2, text + at, length - at);
                ck_assert_msg(ends[at], "%.*s at %zu", (int)length, text, cut);
            }
            // The text before counts for four bytes at most.
            const size_t before = place > 4 ? place - 4 : 0;
            ck_assert_uint_eq(before + pretokenize_cut(PRETOKENIZER_GPT2, text + before,
                                                       length - before, place - before),
                              cut);
        }
    }
    ck_assert_int_gt(cuts, 50000);
}
END_TEST

START_TEST(merges_follow_the_rule) {
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct merge merges[60];
        int count = make_merges(seed, merges, 60);
        struct tokenizer t = tokenizer_of(merges, count, "");
        for (uint32_t i = 0; i < 200; i++) {
            // Short pieces, long ones, and those in between, where the algorithm changes.
            int length = (int)rng_below(rng_bits(seed, 8, i, 0), i % 4 ? 60 : 300) + 1;
            char text[300];
            for (int k = 0; k < length; k++) {
                text[k] = (char)('a' + rng_below(rng_bits(seed, 9, i, (uint32_t)k), 4 + (k == 7)));
            }
            int32_t ids[300], wanted[300];
            int64_t made = bpe_encode(&t, text, (size_t)length, ids);
            ck_assert_int_eq(made, encode_slowly(merges, count, text, length, wanted));
            ck_assert_mem_eq(ids, wanted, (size_t)made * sizeof *ids);
            size_t at = 0;
            for (int64_t k = 0; k < made; k++) {
                size_t bytes;
                const char *token = tokenizer_decode(&t, ids[k], &bytes);
                ck_assert_mem_eq(text + at, token, bytes);
                at += bytes;
            }
            ck_assert_uint_eq(at, (size_t)length);
        }
        tokenizer_free(&t);
    }
}
END_TEST

START_TEST(every_byte_goes_there_and_back) {
    struct tokenizer t = tokenizer_of((struct merge[]){{'a', 'b'}}, 1, "");
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        int32_t id;
        size_t length;
        ck_assert_int_eq(bpe_encode(&t, &byte, 1, &id), 1);
        ck_assert_int_eq(id, i == 1 ? 2 : i == 2 ? 1 : i);
        const char *back = tokenizer_decode(&t, id, &length);
        ck_assert_uint_eq(length, 1);
        ck_assert_int_eq(*back, byte);
    }
    ck_assert_int_eq(bpe_encode(&t, "", 0, NULL), 0);
    ck_assert_int_eq(t.vocab_size, 257);
    tokenizer_free(&t);
}
END_TEST

START_TEST(a_megabyte_without_a_space_is_soon_done) {
    enum { BYTES = 1 << 20 };
    struct merge merges[8] = {{'a', 'a'}};
    for (int i = 1; i < 8; i++) {
        merges[i] = (struct merge){255 + i, 255 + i};
    }
    struct tokenizer t = tokenizer_of(merges, 8, "");
    char *text = malloc(BYTES);
    int32_t *ids = malloc(BYTES * sizeof *ids);
    memset(text, 'a', BYTES);
    double begun = time_now();
    size_t where;
    ck_assert_int_eq(tokenizer_encode(&t, text, BYTES, ids, &where), BYTES / 256);
    for (int i = 0; i < BYTES / 256; i++) {
        ck_assert_int_eq(ids[i], 256 + 7);
    }
    ck_assert_double_lt(time_now() - begun, 30); // quadratic, it would be hours
    free(ids);
    free(text);
    tokenizer_free(&t);
}
END_TEST

// ---- whole texts --------------------------------------------------------------------------------

static int32_t encoded[64];
static int64_t encode(const struct tokenizer *t, const char *text, size_t *where) {
    return tokenizer_encode(t, text, strlen(text), encoded, where);
}

START_TEST(end_of_text_is_one_token) {
    const struct merge merges[] = {{' ', 'a'}, {'a', 'b'}};
    struct tokenizer t = tokenizer_of(merges, 2, " <|endoftext|>");
    size_t where, length;
    ck_assert_int_eq(t.vocab_size, 259);
    ck_assert_int_eq(encode(&t, "ab<|endoftext|> a<|endoftext|><|endoftext|>", &where), 5);
    static const int32_t wanted[] = {257, 258, 256, 258, 258};
    ck_assert_mem_eq(encoded, wanted, sizeof wanted);
    const char *token = tokenizer_decode(&t, 258, &length);
    ck_assert_uint_eq(length, 13);
    ck_assert_mem_eq(token, "<|endoftext|>", 13);
    ck_assert_int_eq(encode(&t, "<<|endoftext|", &where), 13); // not whole: ordinary text
    ck_assert_int_eq(encode(&t, "", &where), 0);
    tokenizer_free(&t);
    t = tokenizer_of(merges, 2, "");
    ck_assert_int_eq(bpe_end_of_text(t.bpe), -1);
    ck_assert_int_eq(encode(&t, "<|endoftext|>", &where), 13);
    tokenizer_free(&t);
}
END_TEST

START_TEST(merges_stay_within_pieces) {
    const struct merge merges[] = {{'a', ' '}, {' ', 'a'}, {'a', '1'}};
    struct tokenizer t = tokenizer_of(merges, 3, "");
    size_t where;
    ck_assert_int_eq(encode(&t, "a a a1", &where), 4);
    static const int32_t wanted[] = {'a', 257, 257, '1'};
    ck_assert_mem_eq(encoded, wanted, sizeof wanted);
    tokenizer_free(&t);
}
END_TEST

START_TEST(what_is_no_utf8_is_refused_whole) {
    struct tokenizer t = tokenizer_of((struct merge[]){{'a', 'b'}}, 1, "");
    size_t where = 99;
    ck_assert_int_eq(encode(&t, "abc\xff", &where), -1);
    ck_assert_uint_eq(where, 3);
    ck_assert_int_eq(encode(&t, "ab\xc3", &where), -1);
    ck_assert_uint_eq(where, 2);
    ck_assert_int_eq(encode(&t, "\xed\xa0\x80", &where), -1);
    ck_assert_uint_eq(where, 0);
    tokenizer_free(&t);
}
END_TEST

START_TEST(descriptions_name_the_kind) {
    struct tokenizer t = tokenizer_of((struct merge[]){{'a', 'b'}}, 1, " <|endoftext|>");
    char line[96];
    tokenizer_describe(&t, line);
    ck_assert_ptr_eq(strstr(line, "gpt2, 258 tokens, "), line);
    tokenizer_free(&t);
}
END_TEST

// ---- what is refused ----------------------------------------------------------------------------

static void refused(const char *string, const char *why) {
    struct tokenizer t;
    const char *error = "";
    ck_assert_msg(!tokenizer_parse(&t, string, &error), "took one with: %s", why);
    ck_assert_msg(strstr(error, why) != NULL, "no '%s' in: %s", why, error);
}

// The tokenizer of "ab", with the byte at `at` (from the end if negative) changed to c.
static void refused_with(long at, char c, const char *why) {
    char *string = tokenizer_string((struct merge[]){{'a', 'b'}, {256, 'c'}}, 2, " <|endoftext|>");
    string[at < 0 ? (long)strlen(string) + at : at] = c;
    refused(string, why);
    free(string);
}

START_TEST(strings_that_are_no_tokenizer) {
    static const struct {
        struct merge merges[3];
        int count;
        const char *rest, *why;
    } cases[] = {
        {{{'a', 'b'}, {'a', 'b'}}, 2, "", "twice"},
        {{{'a', 256}}, 1, "", "not an earlier token"},
        {{{256, 'a'}}, 1, "", "not an earlier token"},
        {{{'a', 'b'}, {256, 257}}, 2, "", "not an earlier token"},
        {{{0}}, 0, "", "bytes, merges"},
        {{{0}}, 0, " <|endoftext|>", "bytes, merges"},
        {{{'a', 'b'}}, 1, "00", "bytes, merges"},
        {{{'a', 'b'}}, 1, " ", "bytes, merges"},
        {{{'a', 'b'}}, 1, " <|endoftext|> ", "bytes, merges"},
        {{{'a', 'b'}}, 1, " <|other|>", "bytes, merges"},
        {{{'a', 'b'}}, 1, "0061006x", "not an earlier token"},
        {{{'a', 'b'}}, 1, "0061006A", "not an earlier token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *string = tokenizer_string(cases[i].merges, cases[i].count, cases[i].rest);
        refused(string, cases[i].why);
        free(string);
    }
    refused("bpe gpt2", "starts with none of");
    refused("bpe gpt2 ", "bytes, merges");
    refused("bpe gpt3 00", "starts with none of");
    refused_with(9 + 2 * 'a' + 1, '2', "256 bytes once");
    refused_with(9 + 2 * 'a', 'g', "256 bytes once");
    refused_with(9 + 2 * 'a', 'A', "256 bytes once");
    refused_with(9 + 512, 'x', "bytes, merges");
    refused_with(-1, '<', "bytes, merges");
}
END_TEST

START_TEST(tokens_that_grow_without_end) {
    struct merge merges[9] = {{'a', 'a'}};
    for (int i = 1; i < 9; i++) {
        merges[i] = (struct merge){255 + i, 255 + i}; // 512 bytes in the end
    }
    char *string = tokenizer_string(merges, 9, "");
    refused(string, "more than 256 bytes");
    free(string);
}
END_TEST

// As many merges as ids allow: 256 + 65280.
static char *full_string(int merges, const char *rest) {
    struct merge *list = malloc((size_t)merges * sizeof *list);
    for (int i = 0; i < merges; i++) {
        list[i] = (struct merge){i / 256, i % 256};
    }
    char *string = tokenizer_string(list, merges, rest);
    free(list);
    return string;
}

START_TEST(as_many_tokens_as_fit_into_two_bytes) {
    struct tokenizer t;
    const char *error;
    char *string = full_string(65280, "");
    ck_assert_msg(tokenizer_parse(&t, string, &error), "%s", error);
    ck_assert_int_eq(t.vocab_size, 65536);
    int32_t ids[2];
    ck_assert_int_eq(bpe_encode(&t, "\xfe\xff", 2, ids), 1);
    ck_assert_int_eq(ids[0], 65535);
    tokenizer_free(&t);
    free(string);
    string = full_string(65280, " <|endoftext|>");
    refused(string, "more than 65536");
    free(string);
    string = full_string(65281, "");
    refused(string, "more than 65536");
    free(string);
}
END_TEST

START_TEST(a_checkpoint_carries_it) {
    char *string = full_string(50000, " <|endoftext|>"), error[512];
    const float weight[2] = {1, 2};
    struct tensor_out tensor = {.name = "w", .ndim = 1, .dims = {2}, .data = weight};
    const char *const metadata[] = {"tokenizer", string};
    ck_assert_msg(safetensors_write(suite_path("c"), &tensor, 1, metadata, 1, error), "%s", error);
    struct safetensors file;
    enum exit_code code;
    ck_assert_msg(safetensors_open(&file, suite_path("c"), error, &code), "%s", error);
    ck_assert_str_eq(safetensors_metadata(&file, "tokenizer"), string);
    struct tokenizer t;
    const char *problem;
    ck_assert(tokenizer_parse(&t, safetensors_metadata(&file, "tokenizer"), &problem));
    ck_assert_int_eq(t.vocab_size, 50257);
    tokenizer_free(&t);
    safetensors_close(&file);
    free(string);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        every_code_point_is_cut_as_pcre2_does,
        mixed_text_is_cut_as_pcre2_does,
        runs_of_spaces_are_cut_as_pcre2_does,
        any_bytes_are_cut_into_pieces_that_end,
        cut_texts_have_the_same_pieces,
        merges_follow_the_rule,
        every_byte_goes_there_and_back,
        a_megabyte_without_a_space_is_soon_done,
        end_of_text_is_one_token,
        merges_stay_within_pieces,
        what_is_no_utf8_is_refused_whole,
        descriptions_name_the_kind,
        strings_that_are_no_tokenizer,
        tokens_that_grow_without_end,
        as_many_tokens_as_fit_into_two_bytes,
        a_checkpoint_carries_it,
    };
    return suite_main("bpe", tests, sizeof tests / sizeof *tests);
}
