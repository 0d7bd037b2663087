// A residual block and its gradients: y = x + b2 + W2 relu(b1 + W1 * relu(x)), where * is a convolution of three taps. Sound is
// [B, T, C], so that a tap is a product of matrices that lie `dilation` rows apart. TILE positions at a time: what lies between
// the convolutions stays in a processor's cache, and ReLU, biases and sums cost no way through memory.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

namespace {

// Numbers in a vector, and sums that fit into registers beside what is multiplied.
#ifdef __AVX512F__
constexpr int LANES = 16, SUMS = 24, OUTER_SUMS = 16;
#else
constexpr int LANES = 8, SUMS = 12, OUTER_SUMS = 8;
#endif
constexpr int VECTORS = 4;  // of outputs at once
constexpr int64_t TILE = 96, TAPS = 3;
typedef float Floats __attribute__((vector_size(4 * LANES)));

inline Floats load(const float* from) {
  Floats vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

inline void store(float* to, Floats vector) { std::memcpy(to, &vector, sizeof(vector)); }

// V vectors for so many outputs: the last one ends where they end, and may repeat some of the one before.
template <int V>
struct Outputs {
  int64_t begin[V];
  explicit Outputs(int64_t outputs) {
    for (int v = 0; v < V; v++) begin[v] = std::min<int64_t>(v * LANES, outputs - LANES);
  }
};

// y[r][o] += sum over i of x[r][i] * w[i][o], for ROWS rows.
template <int V, int ROWS>
inline void product_of_rows(const float* x, const float* w, float* y, Outputs<V> outputs, int64_t in, int64_t out) {
  Floats sums[ROWS][V], weights[V];
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < V; v++) sums[r][v] = load(y + r * out + outputs.begin[v]);
  for (int64_t i = 0; i < in; i++) {
    for (int v = 0; v < V; v++) weights[v] = load(w + i * out + outputs.begin[v]);
#pragma GCC unroll 24
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) sums[r][v] += x[r * in + i] * weights[v];
  }
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < V; v++) store(y + r * out + outputs.begin[v], sums[r][v]);
}

struct Product {  // y [rows, out] += x [rows, in] w [in, out], for some of the outputs
  const float *x, *w;
  float* y;
  int64_t rows, in, out;

  template <int V>
  void run(int64_t first, int64_t outputs) const {
    constexpr int ROWS = SUMS / V;
    Outputs<V> chosen(outputs);
    int64_t r = 0;
    for (; r + ROWS <= rows; r += ROWS) product_of_rows<V, ROWS>(x + r * in, w + first, y + r * out + first, chosen, in, out);
    for (; r < rows; r++) product_of_rows<V, 1>(x + r * in, w + first, y + r * out + first, chosen, in, out);
  }
};

struct Outer {  // w [in, out] += transposed x [rows, in] times y [rows, out], for some of the outputs
  const float *x, *y;
  float* w;
  int64_t rows, in, out;

  template <int V>
  void run(int64_t first, int64_t outputs) const {
    constexpr int INPUTS = V > 2 ? OUTER_SUMS / 4 : OUTER_SUMS / 2;
    Outputs<V> chosen(outputs);
    for (int64_t i = 0; i < in; i += INPUTS) {
      float* here = w + i * out + first;
      Floats sums[INPUTS][V], row[V];
      for (int k = 0; k < INPUTS; k++)
        for (int v = 0; v < V; v++) sums[k][v] = load(here + k * out + chosen.begin[v]);
      for (int64_t r = 0; r < rows; r++) {
        for (int v = 0; v < V; v++) row[v] = load(y + r * out + first + chosen.begin[v]);
#pragma GCC unroll 8
        for (int k = 0; k < INPUTS; k++)
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) sums[k][v] += x[r * in + i + k] * row[v];
      }
      for (int k = 0; k < INPUTS; k++)
        for (int v = 0; v < V; v++) store(here + k * out + chosen.begin[v], sums[k][v]);
    }
  }
};

// All outputs, VECTORS at once; what is left over of them must fill a vector.
template <class Work>
void run(const Work& work) {
  for (int64_t first = 0; first < work.out; first += VECTORS * LANES) {
    int64_t outputs = std::min<int64_t>(work.out - first, VECTORS * LANES);
    switch ((outputs + LANES - 1) / LANES) {
      case 1: work.template run<1>(first, outputs); break;
      case 2: work.template run<2>(first, outputs); break;
      case 3: work.template run<3>(first, outputs); break;
      default: work.template run<4>(first, outputs);
    }
  }
}

void relu(const float* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = std::max(from[i], 0.0f);
}

void add(const float* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

struct Sound {
  int64_t batch, length, width, hidden, dilation, tiles;
  Sound(const at::Tensor& x, int64_t hidden, int64_t dilation)
      : batch(x.size(0)), length(x.size(1)), width(x.size(2)), hidden(hidden), dilation(dilation),
        tiles((length + TILE - 1) / TILE) {}
};

// Positions [from, to) of an item; `row` is the first of them, counted through the batch.
struct Tile {
  int64_t from, to, item, row, rows;
  Tile(const Sound& sound, int64_t number)
      : from(number % sound.tiles * TILE), to(std::min(from + TILE, sound.length)), item(number / sound.tiles * sound.length),
        row(item + from), rows(to - from) {}

  // Calls tap(k, first row of the tile, row of the batch that it sees, rows) for what lies within the item.
  template <class Tap>
  void taps(const Sound& sound, Tap tap) const {
    for (int64_t k = 0; k < TAPS; k++) {
      int64_t shift = (k - 1) * sound.dilation, first = std::max(from, -shift), last = std::min(to, sound.length - shift);
      if (first < last) tap(k, first - from, item + first + shift, last - first);
    }
  }
};

// w1 [3, width, hidden], w2 [hidden, width]. Writes y and, for gradients, what lies between the convolutions, after its ReLU.
void residual(const at::Tensor& x, const at::Tensor& w1, const at::Tensor& b1, const at::Tensor& w2, const at::Tensor& b2,
              int64_t dilation, at::Tensor& y, const std::optional<at::Tensor>& h) {
  Sound sound(x, w1.size(2), dilation);
  int64_t width = sound.width, hidden = sound.hidden;
  auto xs = x.const_data_ptr<float>(), in = w1.const_data_ptr<float>(), in_bias = b1.const_data_ptr<float>(),
       out = w2.const_data_ptr<float>(), out_bias = b2.const_data_ptr<float>();
  auto ys = y.mutable_data_ptr<float>(), hs = h ? h->mutable_data_ptr<float>() : nullptr;
  at::parallel_for(0, sound.batch * sound.tiles, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> positive(TILE * width), between(TILE * hidden);
    for (int64_t number = begin; number < end; number++) {
      Tile tile(sound, number);
      float *middle = hs ? hs + tile.row * hidden : between.data(), *answer = ys + tile.row * width;
      for (int64_t r = 0; r < tile.rows; r++) std::copy_n(in_bias, hidden, middle + r * hidden);
      tile.taps(sound, [&](int64_t k, int64_t first, int64_t seen, int64_t rows) {
        relu(xs + seen * width, positive.data(), rows * width);
        run(Product{positive.data(), in + k * width * hidden, middle + first * hidden, rows, width, hidden});
      });
      relu(middle, middle, tile.rows * hidden);
      std::copy_n(xs + tile.row * width, tile.rows * width, answer);
      for (int64_t r = 0; r < tile.rows; r++) add(out_bias, answer + r * width, width);
      run(Product{middle, out, answer, tile.rows, hidden, width});
    }
  });
}

// g [B, T, C] is the gradient of y; w1 [3, hidden, width], its taps in reverse, and w2 [width, hidden] lead back. Answers with
// the gradients of x, w1 [3, width, hidden], b1, w2 [hidden, width] and b2. A thread sums those of its tiles, in their order.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> residual_backward(
    const at::Tensor& g, const at::Tensor& x, const at::Tensor& h, const at::Tensor& w1, const at::Tensor& w2,
    int64_t dilation) {
  Sound sound(x, h.size(2), dilation);
  int64_t width = sound.width, hidden = sound.hidden, weights = width * hidden;
  int64_t tiles = sound.batch * sound.tiles, threads = at::get_num_threads(), share = (tiles + threads - 1) / threads;
  auto gx = at::empty_like(x), gh = at::empty_like(h), gw1 = at::zeros({threads, TAPS, width, hidden}, x.options()),
       gb1 = at::zeros({threads, hidden}, x.options()), gw2 = at::zeros({threads, hidden, width}, x.options()),
       gb2 = at::zeros({threads, width}, x.options());
  auto gs = g.const_data_ptr<float>(), xs = x.const_data_ptr<float>(), hs = h.const_data_ptr<float>(),
       in = w1.const_data_ptr<float>(), out = w2.const_data_ptr<float>();
  auto gxs = gx.mutable_data_ptr<float>(), ghs = gh.mutable_data_ptr<float>(), gin = gw1.mutable_data_ptr<float>(),
       gin_bias = gb1.mutable_data_ptr<float>(), gout = gw2.mutable_data_ptr<float>(), gout_bias = gb2.mutable_data_ptr<float>();
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> positive(TILE * width);
    for (int64_t thread = begin; thread < end; thread++)
      for (int64_t number = thread * share; number < std::min(tiles, (thread + 1) * share); number++) {
        Tile tile(sound, number);
        const float *given = gs + tile.row * width, *middle = hs + tile.row * hidden;
        float* gradient = ghs + tile.row * hidden;
        std::fill_n(gradient, tile.rows * hidden, 0.0f);
        run(Product{given, out, gradient, tile.rows, width, hidden});
        for (int64_t i = 0; i < tile.rows * hidden; i++) gradient[i] = middle[i] > 0 ? gradient[i] : 0.0f;
        for (int64_t r = 0; r < tile.rows; r++) {
          add(gradient + r * hidden, gin_bias + thread * hidden, hidden);
          add(given + r * width, gout_bias + thread * width, width);
        }
        run(Outer{middle, given, gout + thread * weights, tile.rows, hidden, width});
        tile.taps(sound, [&](int64_t k, int64_t first, int64_t seen, int64_t rows) {
          relu(xs + seen * width, positive.data(), rows * width);
          run(Outer{positive.data(), gradient + first * hidden, gin + (thread * TAPS + k) * weights, rows, width, hidden});
        });
      }
  });
  at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {  // a tile needs the gradients of its neighbours
    for (int64_t number = begin; number < end; number++) {
      Tile tile(sound, number);
      int64_t start = tile.row * width, stop = start + tile.rows * width;
      std::fill(gxs + start, gxs + stop, 0.0f);
      tile.taps(sound, [&](int64_t k, int64_t first, int64_t seen, int64_t rows) {
        run(Product{ghs + seen * hidden, in + k * weights, gxs + start + first * width, rows, hidden, width});
      });
      for (int64_t i = start; i < stop; i++) gxs[i] = gs[i] + (xs[i] > 0 ? gxs[i] : 0.0f);
    }
  });
  return {gx, gw1.sum(0), gb1.sum(0), gw2.sum(0), gb2.sum(0)};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(jukebox_pl, library) {
  library.def(
      "residual(Tensor x, Tensor w1, Tensor b1, Tensor w2, Tensor b2, int dilation, Tensor(a!) y, Tensor(b!)? h) -> ()");
  library.impl("residual", c10::DispatchKey::CPU, TORCH_FN(residual));
  library.def(
      "residual_backward(Tensor g, Tensor x, Tensor h, Tensor w1, Tensor w2, int dilation)"
      " -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  library.impl("residual_backward", c10::DispatchKey::CPU, TORCH_FN(residual_backward));
}
