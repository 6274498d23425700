// Barriers in shared memory on which threads and copies arrive (mbarrier), and the tensor copies that do so (TMA).
// Compute capability 9.0.
#pragma once
#include <async_copy.cuh>

typedef u64 Barrier;

// One thread sets them up; a fence and a barrier of the block follow.
DEVICE void barrier_init(Barrier* barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
DEVICE void barrier_fence() { asm volatile("fence.proxy.async;" ::: "memory"); }

DEVICE void barrier_arrive(Barrier* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

// Arrive, and let the phase also wait for so many bytes of tensor copies.
DEVICE void barrier_arrive_expecting(Barrier* barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

// Wait until the phase of this parity is over; the first phase has parity 0.
DEVICE void barrier_wait(Barrier* barrier, u32 parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

// What cuTensorMapEncodeTiled makes: an array, the tile that a copy takes, the order of bytes in shared memory.
struct alignas(64) TensorMap {
    u64 opaque[16];
};

// Copy the tile of a matrix whose first element is (row, column); what lies outside of the matrix becomes zero.
DEVICE void copy_tile(void* to, const TensorMap& map, Barrier* barrier, int row, int column) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
            "r"(shared_address(to)),
        "l"((u64)&map), "r"(shared_address(barrier)), "r"(column), "r"(row)
        : "memory");
}

// Copy the box of an array of five axes whose first element is (n, d, h, w, c), which may lie outside of the array: what
// does becomes zero. The rows of the box, one for each place of the first four axes, follow one another.
DEVICE void copy_box(void* to, const TensorMap& map, Barrier* barrier, int n, int d, int h, int w, int c) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(shared_address(to)),
        "l"((u64)&map), "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(d), "r"(n)
        : "memory");
}
