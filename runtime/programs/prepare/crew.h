// crew.h: several threads encode a data set's units, and the results are taken in the units' order,
// so that the tokens do not depend on how many threads there are.
#ifndef DIECAST_PREPARE_CREW_H
#define DIECAST_PREPARE_CREW_H

#include "runtime/programs/prepare/documents.h"

// Encodes units from `first` on. Calls take for each in turn, never twice at a time, but in any
// thread, until it returns false or there are no more. Memory is needed for some four results a
// thread. With one thread no other is started.
void prepare_crew(const struct prepare_documents *documents, size_t first, int threads,
                  bool (*take)(void *context, struct prepare_result *result), void *context);

#endif
