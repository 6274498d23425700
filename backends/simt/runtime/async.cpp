// Asynchronous copies of a thread (cp.async): carried out when issued or when waited for, as the schedule says. The
// hardware does so at any time between.
#include <cstring>

#include "runtime.hpp"

namespace simt {

static void carry_out(const Copy& copy) {
    memcpy(copy.to, copy.from, copy.size);
    memset(copy.to + copy.size, 0, copy.zeros);
}

void finish_copies(int keep_groups) {
    Copies& copies = block.copies[block.current];
    size_t kept = 0;
    for (const Copy& copy : copies.waiting) {
        if (copy.group >= copies.group - keep_groups) {
            copies.waiting[kept++] = copy;
            continue;
        }
        if (!(block.schedule & EAGER_COPIES)) carry_out(copy);
        mark_in_flight(copy.to, copy.size + copy.zeros, false, nullptr);
    }
    copies.waiting.resize(kept);
}

}  // namespace simt

using namespace simt;

extern "C" {

void simt_copy_async(void* to, const void* from, int size, int zeros) {
    if ((uintptr_t)to % (size + zeros)) fail(SIMT_HERE, "misaligned: cp.async to an address that is no multiple of its size");
    if (size && (uintptr_t)from % (size + zeros)) fail(SIMT_HERE, "misaligned: cp.async from an address that is no multiple of its size");
    if (size) check(from, size, false, false, SIMT_HERE);
    mark_in_flight(to, size + zeros, true, SIMT_HERE);
    Copies& copies = block.copies[block.current];
    const Copy copy = {(char*)to, (const char*)from, size, zeros, copies.group};
    if (block.schedule & EAGER_COPIES) carry_out(copy);
    copies.waiting.push_back(copy);
}

void simt_copy_commit() { ++block.copies[block.current].group; }

void simt_copy_wait(int keep_groups) { finish_copies(keep_groups); }
}
