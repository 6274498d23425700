// Checks of every access of a kernel: in bounds, aligned, of shared memory only what has been written and what no other
// thread touches at the same time.
//
// Kernels are compiled for ThreadSanitizer and UndefinedBehaviorSanitizer, but not linked with them: what those call is
// here. Shared memory has a shadow, one cell for each byte, that remembers who wrote and who read it last.
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "runtime.hpp"

extern "C" simt::Position simt_position;

namespace simt {

constexpr uint16_t NOBODY = 0xffff, SEVERAL = 0xfffe;

struct Access {
    uint16_t thread, warp;
    uint32_t epoch, warp_epoch;
    bool atomic;
    uint32_t time;  // by the clock of the thread, in blocks that have such clocks
};
struct Cell {
    uint32_t generation;
    bool in_flight;
    uint32_t fence;  // the next one of the thread that has written it; 0 after an asynchronous copy
    Access written, read;
};

// Of blocks that have clocks: the last reader of four bytes in every warp, since each may be ordered in a way of its own.
struct Readers {
    uint32_t generation;
    Access of[32];
};

static std::vector<Cell> shadow, fixed_shadow;
static uint32_t fences[1024];  // that each thread has passed, from 1 on
static std::vector<Readers> readers, fixed_readers;
static std::vector<std::pair<const char*, const char*>> segments;  // of the library that holds the kernel

static int remember_segments(dl_phdr_info* info, size_t, void* entry) {
    std::vector<std::pair<const char*, const char*>> found;
    bool here = false;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr)& header = info->dlpi_phdr[i];
        if (header.p_type != PT_LOAD) continue;
        const char* start = (const char*)(info->dlpi_addr + header.p_vaddr);
        found.push_back({start, start + header.p_memsz});
        here = here || ((const char*)entry >= start && (const char*)entry < start + header.p_memsz);
    }
    if (here) segments = found;
    return here;
}

void start_checks(const void* entry) {
    segments.clear();
    dl_iterate_phdr(remember_segments, (void*)entry);
    const size_t size = block.shared_end - block.shared, fixed = block.fixed_shared_end - block.fixed_shared;
    if (shadow.size() < size) shadow.resize(size);
    if (fixed_shadow.size() < fixed) fixed_shadow.resize(fixed);
}

// ------------------------------------------------------------------ shared memory

static bool is_ordered(const Access& before, const Access& now) {
    if (before.thread == NOBODY || before.thread == now.thread) return true;
    if (before.atomic && now.atomic) return true;
    if (before.epoch < now.epoch) return true;
    if (before.warp == now.warp && before.warp_epoch < now.warp_epoch) return true;
    return block.by_mbarrier && before.thread < SEVERAL && clock_knows(now.thread, before.thread, before.time);
}

static Access access_now(bool atomic) {
    const int thread = block.current, warp = thread / 32;
    const uint32_t time = block.by_mbarrier ? clock_time(thread) : 1;
    return {(uint16_t)thread, (uint16_t)warp, block.epoch, block.warps[warp].epoch, atomic, time};
}

static Cell& fresh(Cell& cell) {
    if (cell.generation != block.generation) {
        const Access none = {NOBODY, NOBODY, 0, 0, false, 0};
        cell = {block.generation, false, 0, none, none};
    }
    return cell;
}

static void conflict(const void* where, const char* what, const Access& before, const char* how) {
    if (before.thread == SEVERAL) fail(where, "race: %s shared memory that other threads %s without a barrier between", what, how);
    fail(where, "race: %s shared memory that thread %u %s without a barrier between", what, before.thread, how);
}

static Readers& readers_of(const Cell* cell) {
    const bool dynamic = !shadow.empty() && cell >= shadow.data() && cell < shadow.data() + shadow.size();
    std::vector<Readers>& all = dynamic ? readers : fixed_readers;
    const std::vector<Cell>& cells = dynamic ? shadow : fixed_shadow;
    if (all.size() < cells.size() / 4 + 1) all.resize(cells.size() / 4 + 1);
    Readers& found = all[(cell - cells.data()) / 4];
    if (found.generation != block.generation) {
        found.generation = block.generation;
        for (Access& access : found.of) access = {NOBODY, NOBODY, 0, 0, false, 0};
    }
    return found;
}

// Remember that a thread reads, in the one way or the other.
static void note_read(Cell& cell, const Access& now) {
    Access& read = cell.read;
    if (block.by_mbarrier) readers_of(&cell).of[now.warp] = now;
    else if (read.thread == NOBODY || read.epoch < now.epoch || read.thread == now.thread) read = now;
    else if (read.warp == now.warp) read = {SEVERAL, now.warp, now.epoch, now.warp_epoch, false, 0};
    else read = {SEVERAL, SEVERAL, now.epoch, 0, false, 0};
}

static void check_reads(Cell& cell, const Access& now, const void* where) {
    if (!is_ordered(cell.read, now)) conflict(where, "a write to", cell.read, "reads");
    if (!block.by_mbarrier) return;
    for (const Access& read : readers_of(&cell).of)
        if (!is_ordered(read, now)) conflict(where, "a write to", read, "reads");
}

static void check_shared(Cell* cells, size_t size, bool write, bool atomic, const void* where) {
    const Access now = access_now(atomic);
    for (size_t i = 0; i < size; ++i) {
        Cell& cell = fresh(cells[i]);
        if (cell.in_flight)
            fail(where, "%s of shared memory to which an asynchronous copy is under way", write ? "a write" : "a read");
        // Without the checks that the compiler inserts, nobody has seen who writes.
        if ((!write || atomic) && cell.written.thread == NOBODY && !(block.schedule & UNCHECKED))
            fail(where, "a read of shared memory that nothing has written");
        if (!is_ordered(cell.written, now)) conflict(where, write ? "a write to" : "a read of", cell.written, "writes");
        if (!write) {
            note_read(cell, now);
            continue;
        }
        check_reads(cell, now, where);
        cell.written = now;
        cell.fence = fences[now.thread];
    }
}

bool is_shared(const void* address) {
    const char* start = (const char*)address;
    return (start >= block.shared && start < block.shared_end) ||
           (start >= block.fixed_shared && start < block.fixed_shared_end);
}

static Cell* cells_of(const char* start, size_t size, const void* where) {
    const bool dynamic = start >= block.shared && start < block.shared + 256 * 1024;
    const char* begin = dynamic ? block.shared : block.fixed_shared;
    const char* end = dynamic ? block.shared_end : block.fixed_shared_end;
    if (!dynamic && (start < begin || start >= end)) return nullptr;
    if (start + size > end)
        fail(where, "out of bounds: %zu bytes at offset %td of the %td bytes of %s shared memory", size, start - begin,
             end - begin, dynamic ? "dynamic" : "static");
    return &(dynamic ? shadow : fixed_shadow)[start - begin];
}

void mark_in_flight(const void* address, size_t size, bool in_flight, const void* where) {
    Cell* cells = cells_of((const char*)address, size, where);
    if (!cells) fail(where, "an asynchronous copy has to go to shared memory");
    if (in_flight) check_shared(cells, size, true, false, where);  // it may overwrite from now on
    for (size_t i = 0; i < size; ++i) {
        Cell& cell = fresh(cells[i]);
        cell.in_flight = in_flight;
        cell.fence = 0;
        cell.written = access_now(false);
    }
}

// ------------------------------------------------------------------ fences between threads and what is asynchronous

void forget_fences() { std::fill(fences, fences + 1024, 1); }

void note_fence() { ++fences[block.current]; }

uint32_t fences_of(int thread) { return fences[thread]; }

// A read by the tensor cores: what threads have written themselves has to be behind a fence of theirs.
void check_fenced(const void* address, size_t size, const void* where) {
    check(address, size, false, false, where);
    const Cell* cells = cells_of((const char*)address, size, where);
    for (size_t i = 0; cells && i < size; ++i)
        if (cells[i].fence && cells[i].fence == fences[cells[i].written.thread])
            fail(where, "a product reads shared memory that thread %u has written without a barrier_fence after it",
                 cells[i].written.thread);
}

// ------------------------------------------------------------------ any memory

static void outside(const char* start, size_t size, bool write, const void* where) {
    const char* kind = write ? "write" : "read";
    const Range* nearest = nullptr;
    int64_t distance = INT64_MAX;
    for (int i = 0; i < block.range_count; ++i) {
        const Range& range = block.ranges[i];
        const int64_t behind = start + size - (range.start + range.size), before = range.start - start;
        const int64_t away = behind > before ? behind : before;
        if (away < distance) distance = away, nearest = &range;
    }
    if (!nearest || distance > (1 << 20)) fail(where, "out of bounds: %s of %zu bytes far from every array", kind, size);
    const int number = nearest - block.ranges;
    if (start < nearest->start)
        fail(where, "out of bounds: %s of %zu bytes, %td bytes before the begin of array %d", kind, size,
             nearest->start - start, number);
    fail(where, "out of bounds: %s of %zu bytes at offset %td of array %d, which has %zu bytes", kind, size,
         start - nearest->start, number, (size_t)nearest->size);
}

void check(const volatile void* address, size_t size, bool write, bool atomic, const void* where) {
    const char* start = (const char*)address;
    // What the functions of cuda.cuh read, which are compiled with the kernel: its position, the lanes' values.
    if (start >= (const char*)&simt_position && start < (const char*)(&simt_position + 1)) return;
    if (start >= (const char*)block.warps.data() && start < (const char*)(block.warps.data() + block.warps.size())) return;
    if (start >= block.stacks && start < block.stacks + block.size * STACK_SIZE) return;
    if (Cell* cells = cells_of(start, size, where)) return check_shared(cells, size, write, atomic, where);
    bool readable = false;
    for (int i = 0; i < block.range_count; ++i) {
        const Range& range = block.ranges[i];
        if (start < range.start || start + size > range.start + range.size) continue;
        if (!write || range.writable) return;
        readable = true;
    }
    if (readable) fail(where, "a write of %zu bytes to an array that is declared const", size);
    for (const auto& [begin, end] : segments)
        if (start >= begin && start + size <= end) return;
    outside(start, size, write, where);
}

struct Place {
    const char* file;
    uint32_t line, column;
};

[[noreturn]] static void fail_at(const Place* place, const void* where, const char* text) {
    if (!block.failed && place->file) {
        snprintf(block.report->file, sizeof block.report->file, "%s", place->file);
        block.report->line = place->line;
    }
    fail(where, "%s", text);
}

}  // namespace simt

using namespace simt;

extern "C" {

void simt_touch(const volatile void* address, size_t size, int is_write, int is_atomic) {
    check(address, size, is_write, is_atomic, SIMT_HERE);
}

// ------------------------------------------------------------------ what the compiler inserts

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_read_range(void* address, size_t size) { check(address, size, false, false, SIMT_HERE); }
void __tsan_write_range(void* address, size_t size) { check(address, size, true, false, SIMT_HERE); }
#define ACCESS(size)                                                                                                   \
    void __tsan_read##size(void* address) { check(address, size, false, false, SIMT_HERE); }                           \
    void __tsan_write##size(void* address) { check(address, size, true, false, SIMT_HERE); }                           \
    void __tsan_unaligned_read##size(void* address) { check(address, size, false, false, SIMT_HERE); }                 \
    void __tsan_unaligned_write##size(void* address) { check(address, size, true, false, SIMT_HERE); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

#define UNDEFINED(name, text, ...)                                                                                     \
    void __ubsan_handle_##name(const Place* place, ##__VA_ARGS__) { fail_at(place, SIMT_HERE, text); }
UNDEFINED(out_of_bounds, "out of bounds: an index is outside of its array", void*)
UNDEFINED(type_mismatch_v1, "misaligned: an access needs an address that is a multiple of its size", void*)
UNDEFINED(pointer_overflow, "out of bounds: a pointer wraps around", void*, void*)
UNDEFINED(shift_out_of_bounds, "a shift by as many bits as the number has, or more", void*, void*)
UNDEFINED(add_overflow, "overflow: a sum does not fit its signed type", void*, void*)
UNDEFINED(sub_overflow, "overflow: a difference does not fit its signed type", void*, void*)
UNDEFINED(mul_overflow, "overflow: a product does not fit its signed type", void*, void*)
UNDEFINED(negate_overflow, "overflow: a negative does not fit its signed type", void*)
UNDEFINED(divrem_overflow, "a division by zero", void*, void*)
}
