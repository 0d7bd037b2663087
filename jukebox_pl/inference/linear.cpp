// A linear layer for a few rows of x, bound by how fast its weights come from memory: they are read once, in a few streams
// far apart, as they are stored, and widened in registers.
//
// A 32-bit word holds N weights of an output (1 float32, 2 bfloat16 or 4 int8); LANES words in a row hold those for N runs
// of LANES inputs. Each output is summed in one order, whatever the batch: a row of x gives the same bits alone.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cmath>
#include <cstring>
#include <optional>

namespace {

constexpr int LANES = 16, STREAMS = 4, BATCH = 4, AHEAD = 256;  // AHEAD: words between what is used and what is asked for
constexpr int64_t WORDS_A_THREAD = 1 << 15;
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Words __attribute__((vector_size(4 * LANES)));

template <class Vector>
inline Vector take(const void* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof(Vector));
  return vector;
}

inline float sum(Floats v) {
  auto eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  auto four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

template <int N>
inline Floats widen(Words words, int part) {
  if constexpr (N == 1) return (Floats)words;
  if constexpr (N == 2) return (Floats)(part ? words & (int32_t)0xffff0000 : words << 16);
  if constexpr (N == 4) return __builtin_convertvector(words << (24 - 8 * part) >> 24, Floats);
}

struct Layer {
  const int32_t* weight;
  const float *scale, *bias, *x;
  float* y;
  int64_t in, out, batch, words;  // words to a row of weights
};

// R outputs, `apart` from each other, for M rows of x.
template <int N, int R, int M>
inline void tile(const Layer& layer, int64_t output, int64_t apart, int64_t item) {
  const int32_t* weight = layer.weight + output * layer.words;
  const float* x = layer.x + item * layer.in;
  Floats sums[R][M] = {};
  auto runs = [&](int64_t word, int count) __attribute__((always_inline)) {
    for (int r = 0; r < R; r++) {
      const int32_t* here = weight + r * apart * layer.words + word;
      __builtin_prefetch(here + AHEAD);
      Words words = take<Words>(here);
      for (int part = 0; part < count; part++) {
        Floats weights = widen<N>(words, part);
        for (int m = 0; m < M; m++) sums[r][m] += weights * take<Floats>(x + m * layer.in + word * N + part * LANES);
      }
    }
  };
  int64_t whole = layer.in / (N * LANES) * LANES;
  for (int64_t word = 0; word < whole; word += LANES) runs(word, N);
  if (whole < layer.words) runs(whole, (layer.in - whole * N) / LANES);
  for (int r = 0; r < R; r++)
    for (int m = 0; m < M; m++) {
      int64_t o = output + r * apart;
      float scale = layer.scale ? layer.scale[o] : 1.0f, bias = layer.bias ? layer.bias[o] : 0.0f;
      layer.y[(item + m) * layer.out + o] = std::fma(sum(sums[r][m]), scale, bias);
    }
}

// The same for all rows of x, while the weights are at hand.
template <int N, int R>
void tiles(const Layer& layer, int64_t output, int64_t apart) {
  int64_t item = 0;
  for (; item + BATCH <= layer.batch; item += BATCH) tile<N, R, BATCH>(layer, output, apart, item);
  for (; item < layer.batch; item++) tile<N, R, 1>(layer, output, apart, item);
}

template <int N>
void outputs(const Layer& layer, int64_t first, int64_t last) {
  int64_t apart = (last - first) / STREAMS;
  for (int64_t output = first; output < first + apart; output++) tiles<N, STREAMS>(layer, output, apart);
  for (int64_t output = first + apart * STREAMS; output < last; output++) tiles<N, 1>(layer, output, 0);
}

at::Tensor streamed_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& scale,
                           const std::optional<at::Tensor>& bias) {
  auto shape = x.sizes().vec();
  int64_t in = shape.back(), out = shape.back() = weight.size(0);
  at::Tensor rows = x.contiguous(), y = at::empty(shape, x.options());
  auto floats = [](const std::optional<at::Tensor>& given) { return given ? given->const_data_ptr<float>() : nullptr; };
  int64_t words = weight.size(1) * weight.element_size() / 4;
  Layer layer{(const int32_t*)weight.const_data_ptr(), floats(scale), floats(bias), rows.const_data_ptr<float>(),
              y.data_ptr<float>(), in, out, x.numel() / in, words};
  int64_t share = std::max<int64_t>(WORDS_A_THREAD / words / STREAMS, 1) * STREAMS;
  at::parallel_for(0, (out + share - 1) / share, 1, [&](int64_t first, int64_t last) {
    first *= share, last = std::min(last * share, out);
    if (weight.element_size() == 4) outputs<1>(layer, first, last);
    if (weight.element_size() == 2) outputs<2>(layer, first, last);
    if (weight.element_size() == 1) outputs<4>(layer, first, last);
  });
  return y;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(jukebox_pl, library) {
  library.def("streamed_linear(Tensor x, Tensor weight, Tensor? scale, Tensor? bias) -> Tensor");
  library.impl("streamed_linear", c10::DispatchKey::CPU, TORCH_FN(streamed_linear));
}
