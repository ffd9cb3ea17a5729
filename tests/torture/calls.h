// calls.h: the system calls that trace stops, and where each has its file, path, data and offset.
// Stands alone.
#include <stdbool.h>

enum call_group {
    CALL_FILE,   // touches a file's name or bytes: counted unless --calls says otherwise
    CALL_LOOK,   // only looks at one, or locks it
    CALL_MEMORY, // takes or gives memory, or starts a thread
};

// Each place is the number of an argument, from 1 on; 0: the call has none.
struct call {
    const char *name;
    int number;
    enum call_group group;
    unsigned char fd, dir, path, dir2, path2; // dir: what a relative path starts from
    unsigned char buffer, vector, count;      // vector: a list of (address, length) pairs
    unsigned char offset, flags;
    bool writes; // its data go into the file, and a smaller count is a write of less
};

extern const struct call calls[];
extern const int calls_count;

// NULL if the number, or the name, is none of them.
const struct call *call_of(int number);
const struct call *call_named(const char *name);
