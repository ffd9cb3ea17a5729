// firmware.c: a microcontroller's sampler on this machine, for test_firmware.sh: writes the prompt
// and the text as the program on a board does. Its words: TOKENS TEMPERATURE TOP_K TOP_P SEED
// PROMPT. Needs sampler_core.h of a model of characters.
#include "sampler_core.h"

#include <stdio.h>
#include <stdlib.h>

static void write_text(const struct sampler_core_sampling *how, int tokens, const char *prompt) {
    static int32_t ids[1000];
    sampler_core_begin();
    if (!sampler_core_take(ids, sampler_core_encode(prompt, ids, 1000))) {
        exit(1);
    }
    printf("%s", prompt);
    for (int i = 0, id; i < tokens && (id = sampler_core_next(how)) >= 0; i++) {
        char text[5];
        sampler_core_decode(id, text);
        printf("%s", text);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    if (argc != 7) {
        return 64;
    }
    const struct sampler_core_sampling how = {.temperature = atof(argv[2]),
                                              .top_k = atoi(argv[3]),
                                              .top_p = atof(argv[4]),
                                              .seed = (uint32_t)atoi(argv[5])};
    const int32_t wrong = SAMPLER_CORE_VOCABULARY;
    if (sampler_core_next(&how) != -1 || sampler_core_take(&wrong, 1)) {
        return 1; // before there is a text; a token that there is not
    }
    write_text(&how, atoi(argv[1]), argv[6]);
    return 0;
}
