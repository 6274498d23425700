// Who knows of what has happened, in blocks that synchronise by barriers in shared memory: a clock for every pair of
// threads (Mattern, "Virtual time and global states of distributed systems", 1989). Element [t][u] is the time of thread u
// that thread t knows of; an access is ordered before another one if its time is known there.
#include <algorithm>

#include "runtime.hpp"

namespace simt {

static std::vector<uint32_t> clocks;
static uint32_t started_for;  // the generation of the block

static uint32_t* row(int thread) { return clocks.data() + (size_t)thread * block.size; }

void clocks_start() {
    if (started_for == block.generation) return;
    started_for = block.generation;
    clocks.assign((size_t)block.size * block.size, 0);
    for (int t = 0; t < block.size; ++t) row(t)[t] = 1;
}

uint32_t clock_time(int thread) { return row(thread)[thread]; }

bool clock_knows(int thread, int other, uint32_t time) { return row(thread)[other] >= time; }

// What the thread knows goes to those who wait; what it does from now on is later.
void clock_release(int thread, std::vector<uint32_t>& to) {
    to.resize(block.size);
    for (int u = 0; u < block.size; ++u) to[u] = std::max(to[u], row(thread)[u]);
    ++row(thread)[thread];
}

void clock_acquire(int thread, const std::vector<uint32_t>& from) {
    for (size_t u = 0; u < from.size(); ++u) row(thread)[u] = std::max(row(thread)[u], from[u]);
}

// The lanes of a __syncwarp tell each other.
void clocks_join(int first, unsigned mask) {
    std::vector<uint32_t> all;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) clock_release(first + lane, all);
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) clock_acquire(first + lane, all);
}

// So do all threads at a __syncthreads.
void clocks_join_all() {
    std::vector<uint32_t> all;
    for (int t = 0; t < block.size; ++t) clock_release(t, all);
    for (int t = 0; t < block.size; ++t) clock_acquire(t, all);
}

}  // namespace simt
