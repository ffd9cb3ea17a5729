// page.h: what a page's script gives the sampler.
#ifndef DIECAST_PAGE_H
#define DIECAST_PAGE_H

#include "runtime/sample/sample.h"

#ifdef __wasm__
#define PAGE_IMPORT(name) __attribute__((import_module("page"), import_name(#name)))
#define PAGE_EXPORT(name) __attribute__((export_name(#name))) name
#else
#define PAGE_IMPORT(name)
#define PAGE_EXPORT(name) name
#endif

// Shows a message. One that the program dies of is thrown, so that this does not return.
PAGE_IMPORT(say) void page_say(const char *line, int length, bool dies);

#endif
