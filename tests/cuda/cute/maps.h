// maps.h: maps of where elements lie, as text: written, read and compared. cute.cpp makes those
// that CuTe states, maps.cu finds out those of a device or of its emulator.
//
// A map has numbered lines (one for each thread, or for each row of a tile) of places; a place is a
// pair of whole numbers. In the text a line is "NAME NUMBER: PLACE ...", where "4,8+2" stands for
// the places 4,8 and 4,9; "NAME = OTHER" is a map that has another one's lines; "#" begins a
// remark. Names and lines are sorted. tests/cuda/README.md says what the names mean.
//
//     mma_16816.bf16.a 5: 1,2+2 9,2+2 1,10+2 9,10+2
//     mma_16816.f16.a = mma_16816.bf16.a
#ifndef DIECAST_MAPS_H
#define DIECAST_MAPS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <string>
#include <vector>

struct place {
    int a, b;
};

static inline bool operator==(const struct place &x, const struct place &y) {
    return x.a == y.a && x.b == y.b;
}

// What nobody has found: no place.
static const struct place nowhere = {-1, -1};

typedef std::vector<std::vector<struct place>> place_lines;
typedef std::map<std::string, place_lines> place_maps;

// The bits of a wgmma descriptor, unused ones too: (first bit, value) of each field.
static inline std::vector<struct place> descriptor_fields(uint64_t word) {
    static const int first[] = {0, 14, 16, 30, 32, 46, 49, 52, 62, 64};
    std::vector<struct place> fields;
    for (int i = 0; i + 1 < (int)(sizeof first / sizeof *first); i++) {
        const uint64_t mask = ((uint64_t)1 << (first[i + 1] - first[i])) - 1;
        fields.push_back({first[i], (int)(word >> first[i] & mask)});
    }
    return fields;
}

// An operand that is one tile wide has no next tile: the field with the next tile's offset is not
// read, and CuTe leaves it 0.
static inline uint64_t descriptor_without_next_tile(uint64_t word) {
    return word & ~((uint64_t)0x3fff << 16);
}

static inline std::string line_text(const std::vector<struct place> &places) {
    std::string text;
    for (size_t i = 0, run; i < places.size(); i += run) {
        run = 1;
        while (i + run < places.size() &&
               places[i + run] == place{places[i].a, places[i].b + (int)run})
            run++;
        text += " " + std::to_string(places[i].a) + "," + std::to_string(places[i].b);
        if (run > 1)
            text += "+" + std::to_string(run);
    }
    return text;
}

static inline void maps_write(FILE *file, const place_maps &maps) {
    for (auto map = maps.begin(); map != maps.end(); ++map) {
        auto same = maps.begin();
        while (same->second != map->second)
            ++same;
        if (same != map) {
            fprintf(file, "%s = %s\n", map->first.c_str(), same->first.c_str());
            continue;
        }
        for (size_t i = 0; i < map->second.size(); i++)
            fprintf(file, "%s %zu:%s\n", map->first.c_str(), i, line_text(map->second[i]).c_str());
    }
}

// Reads one line of the text; false if it is not a line of a map.
static inline bool maps_read_line(const char *text, place_maps *maps) {
    char name[100], other[100];
    int number, end = 0;
    if (sscanf(text, "%99s = %99s%n", name, other, &end) == 2 && text[end] == 0) {
        if (maps->count(name) || !maps->count(other))
            return false;
        const place_lines lines = maps->at(other);
        (*maps)[name] = lines;
        return true;
    }
    if (sscanf(text, "%99s %d:%n", name, &number, &end) != 2 || end == 0)
        return false;
    place_lines *lines = &(*maps)[name];
    if (number != (int)lines->size())
        return false;
    lines->emplace_back();
    for (text += end; *text; text += end) {
        struct place at;
        int run = 1;
        if (sscanf(text, " %d,%d%n", &at.a, &at.b, &end) != 2)
            return false;
        text += end;
        end = 0;
        if (*text == '+' && (sscanf(text, "+%d%n", &run, &end) != 1 || run < 1 || run > 1000))
            return false;
        for (int i = 0; i < run; i++)
            lines->back().push_back({at.a, at.b + i});
    }
    return true;
}

static inline place_maps maps_read(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "maps: %s: cannot be read\n", path);
        exit(66);
    }
    place_maps maps;
    char *text = NULL;
    size_t room = 0;
    for (int number = 1; getline(&text, &room, file) >= 0; number++) {
        text[strcspn(text, "\n")] = 0;
        if (*text != '#' && !maps_read_line(text, &maps)) {
            fprintf(stderr, "maps: %s: line %d is not a line of a map\n", path, number);
            exit(65);
        }
    }
    free(text);
    fclose(file);
    return maps;
}

// ---- comparisons, which are counted -------------------------------------------------------------

static int maps_passed, maps_failed;

static inline std::string place_text(const place_lines &lines, size_t line, size_t place) {
    if (line >= lines.size() || place >= lines[line].size())
        return "nothing";
    const struct place at = lines[line][place];
    return at == nowhere ? "not found" : std::to_string(at.a) + "," + std::to_string(at.b);
}

// One check: whether the map that was found is CuTe's; else a line with the first place that
// differs.
static inline void maps_compare(const std::string &what, const place_lines &found,
                                const place_lines &wanted) {
    size_t wrong = 0, line = 0, place = 0;
    for (size_t i = 0; i < found.size() || i < wanted.size(); i++) {
        if (i < found.size() && i < wanted.size() && found[i] == wanted[i])
            continue;
        if (wrong++ > 0)
            continue;
        line = i;
        if (i < found.size() && i < wanted.size())
            while (place < found[i].size() && place < wanted[i].size() &&
                   found[i][place] == wanted[i][place])
                place++;
    }
    *(wrong ? &maps_failed : &maps_passed) += 1;
    if (wrong)
        printf("not so: %s: %zu of %zu lines, first line %zu, place %zu: %s, where CuTe has %s\n",
               what.c_str(), wrong, wanted.size(), line, place,
               place_text(found, line, place).c_str(), place_text(wanted, line, place).c_str());
}

static inline int maps_end(int skipped) {
    printf("%d passed, %d failed, %d skipped\n", maps_passed, maps_failed, skipped);
    return maps_failed > 0;
}

#endif
