// The simulator's view of a running block. One block runs at a time; its threads are fibers on one thread of the
// operating system, each running until it has to wait for others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace simt {

struct Dim {
    unsigned x, y, z;
};
// As cuda.cuh declares it for kernels.
struct Position {
    Dim thread, block, block_size, grid_size;
};

// An argument that is an array; the layout is that of machine.py.
struct Range {
    char* start;
    uint64_t size;
    uint64_t writable;
};
// What went wrong, where in the kernel, for whom; the layout is that of machine.py.
struct Report {
    char text[512];
    char file[256];
    int32_t line;
    Dim block, thread;
    const void* where;
    const void* base;
};

enum class State { ready, at_barrier, at_collective, spinning, done };

struct Thread {
    void* stack_pointer;
    State state;
    const void* where;  // the instruction that waits
    const char* operation;
    unsigned mask;  // the lanes of the collective
    int barrier_kind, barrier_value, *barrier_result;
    alignas(16) unsigned char outbox[64];
    int outbox_size;
};
struct Warp {
    alignas(16) unsigned char table[32][64];
    uint32_t epoch;  // __syncwarps passed
};

// A copy that has been issued and that the hardware may carry out until it is waited for.
struct Copy {
    char* to;
    const char* from;
    int size, zeros, group;
};
struct Copies {
    std::vector<Copy> waiting;
    int group;
};

constexpr size_t STACK_SIZE = 64 * 1024;
constexpr uint64_t CANARY = 0x5117C0DE5117C0DEull;
// UNCHECKED: the compiler has inserted no checks, so that not all accesses are seen.
enum { REVERSE_WARPS = 1, REVERSE_LANES = 2, EAGER_COPIES = 4, UNCHECKED = 8 };

struct Block {
    int size, current, schedule;  // current: the running thread, -1 for the scheduler
    uint32_t epoch;               // __syncthreads passed
    uint32_t generation;          // blocks run so far
    bool failed, by_mbarrier;     // by_mbarrier: also synchronised by barriers in shared memory
    uint64_t progress;            // counts what a spinning thread may be waiting for
    void* scheduler_pointer;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<Copies> copies;
    char *stacks, *shared, *shared_end, *fixed_shared, *fixed_shared_end;
    const Range* ranges;
    int range_count;
    Report* report;
    void (*entry)(void**);
    void** arguments;

    Warp& warp() { return warps[current / 32]; }
    Thread& thread() { return threads[current]; }
};
extern Block block;

// Note an error (the first one counts) and leave the kernel; called by a thread.
[[noreturn]] void fail(const void* where, const char* format, ...) __attribute__((format(printf, 2, 3)));
// The same for the scheduler, and the position is that of a waiting thread.
void note(int thread, const void* where, const char* format, ...) __attribute__((format(printf, 3, 4)));
// Let the others run until what the thread waits for has happened.
void wait_in(State state, const void* where, const char* operation);
// Bytes of every lane of the mask, once all have come.
unsigned char (*exchange(unsigned mask, const void* value, int size, const char* operation, const void* where))[64];

// checks.cpp
bool is_shared(const void* address);
void start_checks(const void* entry);
void check(const volatile void* address, size_t size, bool write, bool atomic, const void* where);
void mark_in_flight(const void* address, size_t size, bool in_flight, const void* where);
void check_fenced(const void* address, size_t size, const void* where);
void note_fence();
uint32_t fences_of(int thread);
void forget_fences();
// clocks.cpp
void clocks_start();
uint32_t clock_time(int thread);
bool clock_knows(int thread, int other, uint32_t time);
void clock_release(int thread, std::vector<uint32_t>& to);
void clock_acquire(int thread, const std::vector<uint32_t>& from);
void clocks_join(int first, unsigned mask);
void clocks_join_all();
// async.cpp and hopper.cpp
void finish_copies(int keep_groups);
bool run_transfer();
bool transfers_left();
void forget_transfers();
const char* unfinished();

}  // namespace simt
extern "C" float simt_from_f16(uint32_t bits);  // tensor.cpp
#define SIMT_HERE __builtin_return_address(0)
