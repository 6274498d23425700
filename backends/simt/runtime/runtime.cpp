// Fibers, the order in which they run, barriers and collectives, and the launch of a grid.
#include "runtime.hpp"

#include <dlfcn.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
simt::Position simt_position;
}

namespace simt {

Block block;
static_assert(sizeof(Report) == 816, "machine.py has the same layout");

// ------------------------------------------------------------------ switching between stacks

// Save what a called function must preserve, change the stack, restore.
extern "C" void simt_switch(void** from, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.globl simt_switch
.hidden simt_switch
simt_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");
static void* first_frame(char* top, void (*start)()) {
    void** frame = (void**)top;
    *--frame = nullptr;  // where `start` would return to; it also aligns the stack as after a call
    *--frame = (void*)start;
    for (int i = 0; i < 6; ++i) *--frame = nullptr;
    return frame;
}
#elif defined(__aarch64__)
asm(R"(
.text
.globl simt_switch
.hidden simt_switch
simt_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
static void* first_frame(char* top, void (*start)()) {
    void** frame = (void**)(top - 160);
    memset(frame, 0, 160);
    frame[11] = (void*)start;
    return frame;
}
#else
#error "the simulator switches stacks on x86-64 and aarch64 only"
#endif

static void place(int thread) {
    const Dim size = simt_position.block_size;
    simt_position.thread = {thread % size.x, thread / size.x % size.y, thread / (size.x * size.y)};
}

void wait_in(State state, const void* where, const char* operation) {
    Thread& thread = block.thread();
    thread.state = state;
    thread.where = where;
    thread.operation = operation;
    simt_switch(&thread.stack_pointer, block.scheduler_pointer);
}

static void run_thread() {
    block.entry(block.arguments);
    if (!block.copies[block.current].waiting.empty())
        fail(nullptr, "a thread ends with asynchronous copies that it has not waited for");
    if (const char* what = unfinished()) fail(nullptr, "a thread ends with %s that it has not waited for", what);
    wait_in(State::done, nullptr, "");
    abort();
}

static void resume(int thread) {
    block.current = thread;
    place(thread);
    simt_switch(&block.scheduler_pointer, block.threads[thread].stack_pointer);
    block.current = -1;
}

// ------------------------------------------------------------------ errors

static void write_report(int thread, const void* where, const char* format, va_list values) {
    if (block.failed) return;
    block.failed = true;
    Report& report = *block.report;
    vsnprintf(report.text, sizeof report.text, format, values);
    place(thread);
    report.block = simt_position.block;
    report.thread = simt_position.thread;
    report.where = where;
    Dl_info info;
    report.base = where && dladdr(where, &info) ? info.dli_fbase : nullptr;
}

void fail(const void* where, const char* format, ...) {
    va_list values;
    va_start(values, format);
    write_report(block.current, where, format, values);
    va_end(values);
    wait_in(State::done, where, "");
    abort();
}

void note(int thread, const void* where, const char* format, ...) {
    va_list values;
    va_start(values, format);
    write_report(thread, where, format, values);
    va_end(values);
}

// ------------------------------------------------------------------ collectives of a warp

static bool release_collectives(int first, int last) {
    Warp& warp = block.warps[first / 32];
    bool released = false;
    for (int i = first; i < last; ++i) {
        Thread& thread = block.threads[i];
        if (thread.state != State::at_collective) continue;
        const unsigned lane = i - first;
        if (!(thread.mask >> lane & 1))
            return note(i, thread.where, "lane %u calls %s with mask %#x, which leaves it out", lane, thread.operation,
                        thread.mask), false;
        bool complete = true;
        for (int other = 0; other < 32; ++other) {
            if (!(thread.mask >> other & 1)) continue;
            if (first + other >= last)
                return note(i, thread.where, "%s: the mask %#x names lane %d, but the warp has %d", thread.operation,
                            thread.mask, other, last - first), false;
            Thread& partner = block.threads[first + other];
            if (partner.state == State::done || partner.state == State::at_barrier)
                return note(i, thread.where, "divergence: lane %u waits at %s for lane %d, which %s", lane,
                            thread.operation, other,
                            partner.state == State::done ? "has ended" : "waits at __syncthreads"), false;
            complete = complete && partner.state == State::at_collective;
            if (partner.state == State::at_collective &&
                (partner.mask != thread.mask || strcmp(partner.operation, thread.operation)))
                return note(i, thread.where, "divergence: lane %u is at %s (mask %#x), lane %d at %s (mask %#x)", lane,
                            thread.operation, thread.mask, other, partner.operation, partner.mask), false;
        }
        if (!complete) continue;  // a lane spins
        const unsigned mask = thread.mask;
        if (thread.outbox_size < 0) {
            if (mask == ~0u) ++warp.epoch;
            if (block.by_mbarrier) clocks_join(first, mask);
        }
        for (int other = 0; other < 32; ++other)
            if (mask >> other & 1) {
                Thread& partner = block.threads[first + other];
                if (partner.outbox_size > 0) memcpy(warp.table[other], partner.outbox, partner.outbox_size);
                partner.state = State::ready;
            }
        released = true;
    }
    return released;
}

unsigned char (*exchange(unsigned mask, const void* value, int size, const char* operation, const void* where))[64] {
    Thread& thread = block.thread();
    if (size > 0) memcpy(thread.outbox, value, size);
    thread.outbox_size = size;
    thread.mask = mask;
    wait_in(State::at_collective, where, operation);
    return block.warp().table;
}

// ------------------------------------------------------------------ a block

static void run_warp(int first) {
    const int last = std::min(block.size, first + 32);
    do {
        for (int k = first; k < last; ++k) {
            const int i = block.schedule & REVERSE_LANES ? last - 1 - (k - first) : k;
            if (block.threads[i].state == State::ready) resume(i);
            if (block.failed) return;
        }
    } while (release_collectives(first, last) && !block.failed);
}

static int first_in(State state) {
    for (int i = 0; i < block.size; ++i)
        if (block.threads[i].state == state) return i;
    return -1;
}

// All threads wait or have ended: let those at the barrier go on, or tell why they never will.
static void release_barrier() {
    int waiting = 0, ended = 0, votes = 0;
    const int first = first_in(State::at_barrier);
    for (Thread& thread : block.threads) {
        waiting += thread.state == State::at_barrier;
        ended += thread.state == State::done;
        votes += thread.state == State::at_barrier ? thread.barrier_value : 0;
    }
    const Thread& example = block.threads[first];
    if (ended)
        return note(first, example.where, "divergence: %d threads wait at __syncthreads, but %d have ended", waiting, ended);
    for (Thread& thread : block.threads)
        if (thread.barrier_kind != example.barrier_kind)
            return note(first, thread.where, "divergence: threads wait at different kinds of __syncthreads");
    for (Thread& thread : block.threads) {
        thread.state = State::ready;
        if (thread.barrier_result) *thread.barrier_result = votes;
    }
    ++block.epoch;
    if (block.by_mbarrier) clocks_join_all();
}

static void prepare_threads() {
    const int warps = (block.size + 31) / 32;
    block.threads.resize(block.size);
    block.warps.resize(warps);
    block.copies.assign(block.size, Copies{});
    for (Warp& warp : block.warps) warp.epoch = 0;
    for (int i = 0; i < block.size; ++i) {
        char* bottom = block.stacks + (size_t)i * STACK_SIZE;
        *(uint64_t*)bottom = CANARY;
        block.threads[i] = Thread{};
        block.threads[i].stack_pointer = first_frame(bottom + STACK_SIZE, run_thread);
    }
    block.epoch = 0;
    ++block.generation;
    block.by_mbarrier = false;
    forget_transfers();
    forget_fences();
    // NaN as a float, and no plausible index: whoever reads before writing computes nonsense.
    memset(block.shared, 0xff, block.shared_end - block.shared);
    memset(block.fixed_shared, 0xff, block.fixed_shared_end - block.fixed_shared);
}

static void run_block() {
    prepare_threads();
    const int warps = (block.size + 31) / 32;
    while (!block.failed) {
        const uint64_t before = block.progress;
        for (int k = 0; k < warps && !block.failed; ++k)
            run_warp(32 * (block.schedule & REVERSE_WARPS ? warps - 1 - k : k));
        if (block.failed) return;
        int counts[5] = {};
        for (const Thread& thread : block.threads) ++counts[(int)thread.state];
        const int spinning = counts[(int)State::spinning], at_barrier = counts[(int)State::at_barrier];
        if (counts[(int)State::done] == block.size) break;
        if (spinning) {
            if (block.progress == before && !run_transfer()) {
                const int i = first_in(State::spinning);
                return note(i, block.threads[i].where, "deadlock: %d threads wait at %s for what never comes", spinning,
                            block.threads[i].operation);
            }
            for (Thread& thread : block.threads)
                if (thread.state == State::spinning) thread.state = State::ready;
        } else if (at_barrier) {
            release_barrier();
        }
    }
    if (transfers_left()) return note(0, nullptr, "a block ends with tensor copies that nobody has waited for");
    for (int i = 0; i < block.size; ++i)
        if (*(uint64_t*)(block.stacks + (size_t)i * STACK_SIZE) != CANARY)
            return note(i, nullptr, "a thread uses more than %zu bytes of stack", STACK_SIZE);
}

}  // namespace simt

using namespace simt;

// ------------------------------------------------------------------ what kernels and machine.py call

extern "C" {

void simt_sync_block(int kind, int value, int* result) {
    Thread& thread = block.thread();
    thread.barrier_kind = kind;
    thread.barrier_value = value;
    thread.barrier_result = result;
    wait_in(State::at_barrier, SIMT_HERE, "__syncthreads");
}

void simt_sync_warp(unsigned mask) { exchange(mask, nullptr, -1, "__syncwarp", SIMT_HERE); }

const unsigned char* simt_exchange(unsigned mask, const void* value, int size, const char* operation) {
    return exchange(mask, value, size, operation, SIMT_HERE)[0];
}

unsigned simt_lane() { return block.current % 32; }

void* simt_dynamic_shared() { return block.shared; }

void simt_fail(const char* text) { fail(SIMT_HERE, "%s", text); }

// Run a grid; return 0, or 1 with a report.
int simt_launch(void (*entry)(void**), void** arguments, const unsigned* grid, const unsigned* threads, size_t shared,
                void (*bounds)(char**, char**), const Range* ranges, int range_count, int schedule, Report* report) {
    const size_t most_threads = 1024, most_shared = 256 * 1024;
    static char* memory = nullptr;
    if (!memory) {
        // Shared memory is 1024-byte aligned, as the swizzles of tensor copies want it.
        memory = (char*)mmap(nullptr, most_threads * STACK_SIZE + most_shared, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return memory = nullptr, snprintf(report->text, 512, "no memory for stacks"), 1;
    }
    block.size = threads[0] * threads[1] * threads[2];
    block.schedule = schedule;
    block.failed = false;
    block.current = -1;
    block.stacks = memory;
    block.shared = memory + most_threads * STACK_SIZE;
    block.shared_end = block.shared + shared;
    bounds(&block.fixed_shared, &block.fixed_shared_end);
    block.ranges = ranges;
    block.range_count = range_count;
    block.report = report;
    block.entry = entry;
    block.arguments = arguments;
    simt_position.block_size = {threads[0], threads[1], threads[2]};
    simt_position.grid_size = {grid[0], grid[1], grid[2]};
    start_checks((const void*)entry);
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t k = 0; k < blocks && !block.failed; ++k) {
        const uint64_t i = schedule & REVERSE_WARPS ? blocks - 1 - k : k;
        simt_position.block = {(unsigned)(i % grid[0]), (unsigned)(i / grid[0] % grid[1]),
                               (unsigned)(i / ((uint64_t)grid[0] * grid[1]))};
        run_block();
    }
    return block.failed;
}
}
