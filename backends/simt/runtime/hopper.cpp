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

// Who set it up, and when: others may use it after a barrier of the block only, and copies after a fence. And what
// those who arrived know of.
struct SetUp {
    int thread;
    uint32_t epoch, fences;
    std::vector<uint32_t> clock;
};
static std::map<const void*, SetUp> barriers;

// As machine.py makes it: a contiguous array of 16-bit numbers, and how many elements of each axis a copy takes, every
// how many-th. Axes that the array does not have come first and are 1.
struct Map {
    const char* start;
    uint64_t axes, sizes[5];
    struct {
        uint32_t count, step;
    } box[5];
    uint64_t unused[4];
};
static_assert(sizeof(Map) == 128, "as large as a CUtensorMap");

struct Transfer {
    char* to;
    Map map;
    BarrierState* barrier;
    int first[5], thread;
};
static std::deque<Transfer> transfers;

struct Product {
    float* d;
    uint64_t a, b;
    int columns;
    bool is_f16, a_by_columns, b_by_columns;
    int group;
    const void* where;
};
struct Products {
    std::vector<Product> waiting;
    int group;
    bool fenced;  // the registers of the sums are theirs
};
static std::vector<Products> products;

// Registers: how many a thread of each warp has, and how many the block has left (setmaxnreg).
static std::vector<int> registers;
static int registers_left;

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

static size_t rows_of(const Map& map) {
    return (size_t)map.box[0].count * map.box[1].count * map.box[2].count * map.box[3].count;
}

static void carry_out(const Transfer& copy) {
    const int before = block.current;
    block.current = copy.thread;
    const Map& map = copy.map;
    const size_t start = copy.to - block.shared, width = map.box[4].count * 2, rows = rows_of(map);
    mark_in_flight(copy.to, width * rows, false, nullptr);
    for (size_t row = 0; row < rows; ++row) {
        size_t rest = row;
        int64_t at[4];
        for (int axis = 3; axis >= 0; --axis) {
            at[axis] = copy.first[axis] + (int64_t)(rest % map.box[axis].count) * map.box[axis].step;
            rest /= map.box[axis].count;
        }
        bool inside = true;
        int64_t offset = 0;
        for (int axis = 0; axis < 4; ++axis) {
            inside = inside && at[axis] >= 0 && (uint64_t)at[axis] < map.sizes[axis];
            offset = offset * (int64_t)map.sizes[axis] + at[axis];
        }
        for (uint32_t column = 0; column < map.box[4].count; ++column) {
            const int64_t j = (int64_t)copy.first[4] + column;
            char* to = swizzled(start + row * width + column * 2);
            if (inside && j >= 0 && (uint64_t)j < map.sizes[4])
                memcpy(to, map.start + (offset * (int64_t)map.sizes[4] + j) * 2, 2);
            else
                memset(to, 0, 2);
        }
    }
    clock_release(copy.thread, barriers[copy.barrier].clock);
    copy.barrier->bytes -= (int)(width * rows);
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
    // What a device gives to a block that has a multiprocessor for itself.
    registers.assign((block.size + 31) / 32, std::min(255, 65536 / block.size) / 8 * 8);
    registers_left = 0;
}

const char* unfinished() {
    return products[block.current].waiting.empty() ? nullptr : "products of matrices";
}

// ------------------------------------------------------------------ products

// Where an operand has an element: by rows of 128 bytes, of which eight follow one another, or by columns: then such
// rows are the depth, and each holds 64 rows of the operand.
static const char* position(uint64_t descriptor, bool by_columns, int row, int depth, const void* where) {
    const size_t start = (descriptor & 0x3FFF) << 4, lead = (descriptor >> 16 & 0x3FFF) << 4;
    const size_t stride = (descriptor >> 32 & 0x3FFF) << 4;
    const size_t offset = by_columns ? start + row / 64 * lead + depth / 8 * stride + depth % 8 * 128 + row % 64 * 2
                                     : start + row / 8 * stride + row % 8 * 128 + depth * 2;
    if (block.shared + offset + 2 > block.shared_end)
        fail(where, "out of bounds: a product reads behind the shared memory");
    return swizzled(offset);
}

static float element(uint64_t descriptor, bool by_columns, bool is_f16, int row, int depth, const void* where) {
    uint16_t bits;
    memcpy(&bits, position(descriptor, by_columns, row, depth, where), 2);
    if (is_f16) return simt_from_f16(bits);
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

// The 128 threads share the pieces of 16 bytes that an operand consists of; each checks its own.
static void check_operand(uint64_t descriptor, bool by_columns, int rows, const void* where) {
    for (int piece = block.current % 128; piece < 2 * rows; piece += 128) {
        const int row = by_columns ? piece / 16 * 8 : piece / 2, depth = by_columns ? piece % 16 : piece % 2 * 8;
        check_fenced(position(descriptor, by_columns, row, depth, where), 16, where);
    }
}

static void carry_out(const Product& product) {
    const int warp = block.current / 32 % 4, lane = block.current % 32;
    check_operand(product.a, product.a_by_columns, 64, product.where);
    check_operand(product.b, product.b_by_columns, product.columns, product.where);
    float rows[2][16];
    for (int half = 0; half < 2; ++half)
        for (int k = 0; k < 16; ++k)
            rows[half][k] = element(product.a, product.a_by_columns, product.is_f16, warp * 16 + lane / 4 + half * 8, k,
                                    product.where);
    for (int j = 0; j < product.columns / 8; ++j)
        for (int e = 0; e < 2; ++e) {
            float column[16];
            for (int k = 0; k < 16; ++k)
                column[k] = element(product.b, product.b_by_columns, product.is_f16, j * 8 + lane % 4 * 2 + e, k,
                                    product.where);
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
    barriers[barrier] = {block.current, block.epoch, fences_of(block.current), {}};
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

void simt_barrier_fence() { note_fence(); }

void simt_copy_box(void* to, const void* map, void* barrier, int axes, const int* first) {
    Transfer copy = {(char*)to, *(const Map*)map, &barrier_at(barrier, SIMT_HERE), {}, block.current};
    std::copy(first, first + 5, copy.first);
    const SetUp& set_up = barriers[barrier];
    if (fences_of(set_up.thread) == set_up.fences)
        fail(SIMT_HERE, "a copy arrives on a barrier that thread %d has set up without a barrier_fence", set_up.thread);
    if ((int)copy.map.axes != axes)
        fail(SIMT_HERE, "a copy with %d coordinates of an array of %d axes", axes, (int)copy.map.axes);
    if ((uintptr_t)to % 1024) fail(SIMT_HERE, "misaligned: a swizzled tile has to begin at a multiple of 1024");
    mark_in_flight(to, rows_of(copy.map) * copy.map.box[4].count * 2, true, SIMT_HERE);
    if (block.schedule & EAGER_COPIES) carry_out(copy);
    else transfers.push_back(copy);
}

uint64_t simt_shared_offset(const void* pointer) {
    if (!is_shared(pointer)) fail(SIMT_HERE, "a descriptor of what is not in shared memory");
    return (const char*)pointer - block.shared;
}

void simt_products_fence() { products[block.current].fenced = true; }

void simt_product(float* d, uint64_t a, uint64_t b, int columns, int is_f16, int a_by_columns, int b_by_columns) {
    exchange(~0u, nullptr, 0, "wgmma", SIMT_HERE);
    Products& own = products[block.current];
    if (!own.fenced) fail(SIMT_HERE, "wgmma without a products_fence, which gives it the registers of the sums");
    const Product product = {d, a, b, columns, !!is_f16, !!a_by_columns, !!b_by_columns, own.group, SIMT_HERE};
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
    if (keep_groups == 0) own.fenced = false;
}

void simt_set_registers(int count, int grow) {
    exchange(~0u, nullptr, 0, "setmaxnreg", SIMT_HERE);
    if (block.current % 32) return;  // for its warp
    int& own = registers[block.current / 32];
    if (count % 8 || count < 24 || count > 256 || (grow ? count < own : count > own))
        fail(SIMT_HERE, "setmaxnreg: a thread has %d registers and shall %s to %d", own, grow ? "grow" : "shrink",
             count);
    while (registers_left < (count - own) * 32) wait_in(State::spinning, SIMT_HERE, "setmaxnreg");
    registers_left -= (count - own) * 32;
    own = count;
    ++block.progress;
}
}
