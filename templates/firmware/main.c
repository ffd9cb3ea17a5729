//// main.c: a program that writes a text on a board, or in qemu.
//$ function main(k)
// main.c: writes a text, and says what it took.
//
//$ if k.characters then
// Its words, each of which has a default: TOKENS TEMPERATURE TOP_K TOP_P SEED PROMPT; a line break
// in the prompt is written as |. qemu gives them by -semihosting-config in place of -semihosting:
//
//     -semihosting-config enable=on,arg=firmware,arg="200 0.8 200 1 1337 ROMEO:"
//$ else
// Its words, each of which has a default: TOKENS TEMPERATURE TOP_K TOP_P SEED ID ID ...
//$ end
#include "board.h"
#include "sampler_core.h"

static void say_number(uint32_t n) {
    char text[11];
    char *at = text + sizeof text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + n % 10);
    } while (n /= 10);
    board_say(at);
}

// Reads a number such as 0.8 and the space behind it.
static double read_number(const char **at, double otherwise) {
    double n = 0, scale = 1;
    if (**at == '\0') {
        return otherwise;
    }
    for (int behind = 0; **at && **at != ' '; (*at)++) {
        if (**at == '.') {
            behind = 1;
        } else {
            n = n * 10 + (**at - '0');
            scale = behind ? scale * 10 : scale;
        }
    }
    *at += **at == ' ';
    return n / scale;
}

enum { MOST_WORDS = 512 };
static int32_t ids[MOST_WORDS];

int main(void) {
    static char words[MOST_WORDS];
    board_words(words, sizeof words);
    const char *at = words;
    while (*at && *at++ != ' ') { // the program's name
    }
    struct sampler_core_sampling how;
    const int tokens = (int)read_number(&at, 100);
    how.temperature = read_number(&at, 0.8);
    how.top_k = (int)read_number(&at, 200);
    how.top_p = read_number(&at, 1);
    how.seed = (uint32_t)read_number(&at, 1337);
    how.min_p = how.repetition_penalty = 0;

    //$ if k.characters then
    for (char *c = words; *c; c++) {
        *c = *c == '|' ? '\n' : *c;
    }
    const char *prompt = *at ? at : "\n";
    board_say(prompt);
    int count = sampler_core_encode(prompt, ids, MOST_WORDS);
    //$ else
    int count = 0;
    while (*at && count < MOST_WORDS) {
        ids[count++] = (int32_t)read_number(&at, 0);
    }
    //$ end
    count += count == 0; // id 0
    sampler_core_begin();
    if (!sampler_core_take(ids, count)) {
        board_say("an id is not in the vocabulary\n");
        return 1;
    }
    uint32_t most = 0;
    for (int i = 0; i < tokens; i++) {
        const uint32_t before = board_ticks();
        const int id = sampler_core_next(&how);
        const uint32_t ticks = (board_ticks() - before) & 0xffffff;
        if (id < 0) {
            board_say("a logit is not finite\n");
            return 1;
        }
        //$ if k.characters then
        char text[5];
        sampler_core_decode(id, text);
        board_say(text);
        //$ else
        say_number((uint32_t)id);
        board_say(" ");
        //$ end
        if (count + i < SAMPLER_CORE_CONTEXT && ticks > most) {
            most = ticks; // of those that take in one token, the last has the longest context
        }
    }
    board_say("\nstack: ");
    say_number(board_stack());
    board_say(" bytes; a token: ");
    say_number(most);
    board_say(" ticks\n");
    return 0;
}
//$ end
