// ids.c: the tokens that a text is made of.
#include "runtime/programs/sample/modes.h"

void ids_write(const struct prompt *prompt, const struct tokenizer *tokenizer, bool json) {
    struct growing line;
    growing_begin(&line, "the ids");
    if (json) {
        fputs("{\"text\":", line.file);
        json_write_string(line.file, prompt->text, prompt->length);
        fputs(",\"ids\":[", line.file);
    }
    for (int64_t i = 0; i < prompt->count; i++) {
        fprintf(line.file, "%s%d", i == 0 ? "" : json ? "," : " ", prompt->ids[i]);
    }
    if (json) {
        fputs("],\"tokens\":[", line.file);
        for (int64_t i = 0; i < prompt->count; i++) {
            fputs(i ? "," : "", line.file);
            token_write_json(line.file, tokenizer, prompt->ids[i]);
        }
        fputs("]}", line.file);
    }
    output_line(&line);
}
