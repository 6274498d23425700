// What came with compute capability 9.0: barriers in shared memory, tensor copies that arrive on them, and products of
// four warps. Consistent with the headers for devices and with NVIDIA's documentation; not yet compared with a device.
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>

#include "runtime.hpp"

namespace simt {

// The eight bytes of a barrier.
struct BarrierState {
    uint16_t arrivals, pending;
    int32_t bytes : 24;
    uint32_t phase : 8;
};
static_assert(sizeof(BarrierState) == 8, "a barrier is a 64-bit word");

// Who set it up, and when: others may use it after a barrier of the block only. And what those who arrived know of.
struct SetUp {
    int thread;
    uint32_t epoch;
    std::vector<uint32_t> clock;
};
static std::map<const void*, SetUp> barriers;

// As machine.py makes it: a matrix of 16-bit numbers, and its tile.
struct Map {
    const char* start;
    uint64_t rows, columns, pitch;  // the pitch in bytes
    uint32_t tile_rows, tile_columns;
    uint64_t unused[11];
};
static_assert(sizeof(Map) == 128, "as large as a CUtensorMap");

struct Transfer {
    char* to;
    Map map;
    BarrierState* barrier;
    int64_t row, column;
    int thread;
};
static std::deque<Transfer> transfers;

struct Product {
    float* d;
    uint64_t a, b;
    int group;
    const void* where;
};
struct Products {
    std::vector<Product> waiting;
    int group;
};
static std::vector<Products> products;

static BarrierState& barrier_at(void* address, const void* where) {
    const auto found = barriers.find(address);
    if (found == barriers.end()) fail(where, "a barrier in shared memory that has not been set up");
    if (found->second.thread != block.current && found->second.epoch == block.epoch)
        fail(where, "race: thread %d has set up this barrier, and no barrier of the block lies between",
             found->second.thread);
    return *(BarrierState*)address;
}

static void complete(BarrierState& barrier) {
    ++block.progress;
    if (barrier.pending || barrier.bytes) return;
    barrier.phase ^= 1;
    barrier.pending = barrier.arrivals;
}

static void arrive(BarrierState& barrier, const void* where) {
    if (!barrier.pending) fail(where, "more threads arrive at a barrier than it was set up for");
    clock_release(block.current, barriers[&barrier].clock);
    --barrier.pending;
    complete(barrier);
}

// Shared memory is swizzled by 128 bytes: the 16 bytes of a row of 128 change places, as the row's number says.
static char* swizzled(size_t offset) { return block.shared + (offset ^ ((offset >> 7 & 7) << 4)); }

static void carry_out(const Transfer& copy) {
    const int before = block.current;
    block.current = copy.thread;
    const size_t start = copy.to - block.shared, width = copy.map.tile_columns * 2;
    mark_in_flight(copy.to, width * copy.map.tile_rows, false, nullptr);
    for (uint32_t row = 0; row < copy.map.tile_rows; ++row)
        for (uint32_t column = 0; column < copy.map.tile_columns; ++column) {
            const int64_t i = copy.row + row, j = copy.column + column;
            char* to = swizzled(start + row * width + column * 2 / 16 * 16) + column * 2 % 16;
            if (i >= 0 && j >= 0 && (uint64_t)i < copy.map.rows && (uint64_t)j < copy.map.columns)
                memcpy(to, copy.map.start + i * copy.map.pitch + j * 2, 2);
            else
                memset(to, 0, 2);
        }
    clock_release(copy.thread, barriers[copy.barrier].clock);
    copy.barrier->bytes -= (int)(width * copy.map.tile_rows);
    complete(*copy.barrier);
    block.current = before;
}

bool run_transfer() {
    if (transfers.empty()) return false;
    const Transfer copy = transfers.front();
    transfers.pop_front();
    carry_out(copy);
    return true;
}

bool transfers_left() { return !transfers.empty(); }

void forget_transfers() {
    transfers.clear();
    barriers.clear();
    products.assign(block.size, Products{});
}

const char* unfinished() {
    return products[block.current].waiting.empty() ? nullptr : "products of matrices";
}

// ------------------------------------------------------------------ products

static float element(uint64_t descriptor, int row, int column, const void* where) {
    const size_t start = (descriptor & 0x3FFF) << 4, stride = (descriptor >> 32 & 0x3FFF) << 4;
    const char* from = swizzled(start + row / 8 * stride + row % 8 * 128 + column * 2 / 16 * 16) + column * 2 % 16;
    if (column % 8 == 0) check(from, 16, false, false, where);
    uint16_t bits;
    memcpy(&bits, from, 2);
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

static void carry_out(const Product& product) {
    const int warp = block.current / 32 % 4, lane = block.current % 32;
    float rows[2][16];
    for (int half = 0; half < 2; ++half)
        for (int k = 0; k < 16; ++k)
            rows[half][k] = element(product.a, warp * 16 + lane / 4 + half * 8, k, product.where);
    for (int j = 0; j < 8; ++j)
        for (int e = 0; e < 2; ++e) {
            float column[16];
            for (int k = 0; k < 16; ++k) column[k] = element(product.b, j * 8 + lane % 4 * 2 + e, k, product.where);
            for (int half = 0; half < 2; ++half) {
                float sum = 0;
                for (int k = 0; k < 16; ++k) sum += rows[half][k] * column[k];
                product.d[j * 4 + half * 2 + e] += sum;
            }
        }
}

}  // namespace simt

using namespace simt;

extern "C" {

void simt_barrier_init(void* barrier, unsigned arrivals) {
    if (!is_shared(barrier) || (uintptr_t)barrier % 8) fail(SIMT_HERE, "a barrier has to lie in shared memory, aligned to 8 bytes");
    *(BarrierState*)barrier = {(uint16_t)arrivals, (uint16_t)arrivals, 0, 0};
    barriers[barrier] = {block.current, block.epoch, {}};
    clocks_start();
    block.by_mbarrier = true;
}

void simt_barrier_arrive(void* barrier) { arrive(barrier_at(barrier, SIMT_HERE), SIMT_HERE); }

void simt_barrier_arrive_expecting(void* barrier, unsigned bytes) {
    BarrierState& state = barrier_at(barrier, SIMT_HERE);
    state.bytes += bytes;
    arrive(state, SIMT_HERE);
}

void simt_barrier_wait(void* barrier, unsigned parity) {
    BarrierState& state = barrier_at(barrier, SIMT_HERE);
    while ((state.phase & 1) == parity) wait_in(State::spinning, SIMT_HERE, "barrier_wait");
    clock_acquire(block.current, barriers[barrier].clock);
}

void simt_copy_tile(void* to, const void* map, void* barrier, int row, int column) {
    Transfer copy = {(char*)to, *(const Map*)map, &barrier_at(barrier, SIMT_HERE), row, column, block.current};
    const size_t size = (size_t)copy.map.tile_rows * copy.map.tile_columns * 2;
    if ((uintptr_t)to % 1024) fail(SIMT_HERE, "misaligned: a swizzled tile has to begin at a multiple of 1024");
    mark_in_flight(to, size, true, SIMT_HERE);
    if (block.schedule & EAGER_COPIES) carry_out(copy);
    else transfers.push_back(copy);
}

uint64_t simt_shared_offset(const void* pointer) {
    if (!is_shared(pointer)) fail(SIMT_HERE, "a descriptor of what is not in shared memory");
    return (const char*)pointer - block.shared;
}

void simt_product(float* d, uint64_t a, uint64_t b) {
    exchange(~0u, nullptr, 0, "wgmma", SIMT_HERE);
    Products& own = products[block.current];
    const Product product = {d, a, b, own.group, SIMT_HERE};
    if (block.schedule & EAGER_COPIES) carry_out(product);
    else own.waiting.push_back(product);
}

void simt_products_commit() { ++products[block.current].group; }

void simt_products_wait(int keep_groups) {
    exchange(~0u, nullptr, 0, "wgmma.wait_group", SIMT_HERE);
    Products& own = products[block.current];
    size_t kept = 0;
    for (const Product& product : own.waiting) {
        if (product.group >= own.group - keep_groups) own.waiting[kept++] = product;
        else carry_out(product);
    }
    own.waiting.resize(kept);
}
}
