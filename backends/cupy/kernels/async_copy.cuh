// Copies from global to shared memory that a thread issues and waits for later (cp.async, compute capability 8.0).
#pragma once
#include <common.cuh>

DEVICE u32 shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

// Copy 16 bytes past the first-level cache; both addresses are multiples of 16. If not `wanted`, write zeros.
DEVICE void copy_async16(void* to, const void* from, bool wanted = true) {
    const int size = wanted ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(size)
                 : "memory");
}

// The same for 4 bytes, through the first-level cache.
DEVICE void copy_async4(void* to, const void* from, bool wanted = true) {
    const int size = wanted ? 4 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(size)
                 : "memory");
}

// What has been issued since the last commit is a group.
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until all but the last N groups of this thread have landed. Others see the data after a barrier.
template <int N> DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
