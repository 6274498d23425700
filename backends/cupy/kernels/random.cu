// Raw words, uniform numbers and masks of one draw. Each thread makes one Philox block, that is eight elements.
#include <philox.cuh>
#include <vector.cuh>

KERNEL(256) draw_words(u64 key0, u64 key1, u64 counter, u32* out, i64 n) {
    const i64 block = thread_index();
    if (block * 8 >= n) return;
    const Words words = philox(counter + block, key0, key1);
    Eight<u32> values;
#pragma unroll
    for (int k = 0; k < 8; ++k) values.of[k] = words.of[k];
    store_eight(out, block * 8, n, values);
}

KERNEL(256) draw_uniform(u64 key0, u64 key1, u64 counter, float* out, i64 n) {
    const i64 block = thread_index();
    if (block * 8 >= n) return;
    const Words words = philox(counter + block, key0, key1);
    Eight<float> values;
#pragma unroll
    for (int k = 0; k < 8; ++k) values.of[k] = uniform_of(words.of[k]);
    store_eight(out, block * 8, n, values);
}

KERNEL(256) draw_mask(u64 key0, u64 key1, u64 counter, u64 threshold, bool* out, i64 n) {
    const i64 block = thread_index();
    if (block * 8 >= n) return;
    const Words words = philox(counter + block, key0, key1);
    Eight<bool> values;
#pragma unroll
    for (int k = 0; k < 8; ++k) values.of[k] = is_kept(words.of[k], threshold);
    store_eight(out, block * 8, n, values);
}
