// The lbr_gru primitive of oneDNN, called from Python by ctypes and compiled when `gruvy bench` first needs it.
//
// Arrays are float32 and belong to the caller. Weights are (units, 3, hidden) with the gates in the order update,
// reset, candidate; the bias is (4, hidden), the last being that of the candidate's recurrent product.

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <exception>
#include <string>
#include <unordered_map>

using namespace dnnl;

namespace {

struct Arrays {
  float *x, *weight_ih, *weight_hh, *bias, *output;
  float *d_x, *d_weight_ih, *d_weight_hh, *d_bias;  // null without training
};

using Tag = memory::format_tag;

class Gru {
 public:
  Gru(int steps, int batch, int inputs, int hidden, bool training, const Arrays& arrays)
      : training_(training),
        x_d_(plain({steps, batch, inputs}, Tag::tnc)),
        h_d_(plain({1, 1, batch, hidden}, Tag::ldnc)),
        weight_ih_d_(plain({1, 1, inputs, 3, hidden}, Tag::ldigo)),
        weight_hh_d_(plain({1, 1, hidden, 3, hidden}, Tag::ldigo)),
        bias_d_(plain({1, 1, 4, hidden}, Tag::ldgo)),
        output_d_(plain({steps, batch, hidden}, Tag::tnc)),
        any_ih_(plain({1, 1, inputs, 3, hidden}, Tag::any)),
        any_hh_(plain({1, 1, hidden, 3, hidden}, Tag::any)),
        forward_d_(engine_, training ? prop_kind::forward_training : prop_kind::forward_inference,
                   rnn_direction::unidirectional_left2right, x_d_, h_d_, any_ih_, any_hh_, bias_d_, output_d_, h_d_),
        forward_(forward_d_),
        weight_ih_(weight_ih_d_, engine_, arrays.weight_ih),
        weight_hh_(weight_hh_d_, engine_, arrays.weight_hh),
        packed_ih_(forward_d_.weights_layer_desc(), engine_),
        packed_hh_(forward_d_.weights_iter_desc(), engine_) {
    arguments_ = {{DNNL_ARG_SRC_LAYER, memory(x_d_, engine_, arrays.x)},
                  {DNNL_ARG_SRC_ITER, filled(h_d_, 0)},
                  {DNNL_ARG_WEIGHTS_LAYER, packed_ih_},
                  {DNNL_ARG_WEIGHTS_ITER, packed_hh_},
                  {DNNL_ARG_BIAS, memory(bias_d_, engine_, arrays.bias)},
                  {DNNL_ARG_DST_LAYER, memory(output_d_, engine_, arrays.output)},
                  {DNNL_ARG_DST_ITER, filled(h_d_, 0)}};
    move(weight_ih_, packed_ih_);
    move(weight_hh_, packed_hh_);
    if (training) prepare_backward(arrays);
    stream_.wait();
  }

  // The whole sequence. In training the weights are new each time: they are packed, and their gradients unpacked.
  void run() {
    if (training_) {
      move(weight_ih_, packed_ih_);
      move(weight_hh_, packed_hh_);
    }
    forward_.execute(stream_, arguments_);
    if (training_) backward();
    stream_.wait();
  }

  // One step from the state h to h_new; for a Gru of one step.
  void step(float* x, float* h, float* h_new) {
    arguments_[DNNL_ARG_SRC_LAYER].set_data_handle(x);
    arguments_[DNNL_ARG_SRC_ITER].set_data_handle(h);
    arguments_[DNNL_ARG_DST_ITER].set_data_handle(h_new);
    forward_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  static memory::desc plain(const memory::dims& dims, Tag layout) { return {dims, memory::data_type::f32, layout}; }

  memory filled(const memory::desc& desc, float value) {
    memory made(desc, engine_);
    std::fill_n(static_cast<float*>(made.get_data_handle()), desc.get_size() / sizeof(float), value);
    return made;
  }

  void move(memory& from, memory& to) { reorder(from, to).execute(stream_, from, to); }

  void prepare_backward(const Arrays& arrays) {
    lbr_gru_backward::primitive_desc desc(
        engine_, prop_kind::backward, rnn_direction::unidirectional_left2right, x_d_, h_d_, any_ih_, any_hh_, bias_d_,
        output_d_, h_d_, x_d_, h_d_, any_ih_, any_hh_, bias_d_, output_d_, h_d_, forward_d_);
    backward_ = lbr_gru_backward(desc);
    arguments_[DNNL_ARG_WORKSPACE] = memory(forward_d_.workspace_desc(), engine_);
    back_ih_ = memory(desc.weights_layer_desc(), engine_);
    back_hh_ = memory(desc.weights_iter_desc(), engine_);
    d_packed_ih_ = memory(desc.diff_weights_layer_desc(), engine_);
    d_packed_hh_ = memory(desc.diff_weights_iter_desc(), engine_);
    d_weight_ih_ = memory(weight_ih_d_, engine_, arrays.d_weight_ih);
    d_weight_hh_ = memory(weight_hh_d_, engine_, arrays.d_weight_hh);
    d_bias_ = memory(bias_d_, engine_, arrays.d_bias);
    back_arguments_ = arguments_;
    back_arguments_[DNNL_ARG_WEIGHTS_LAYER] = back_ih_;
    back_arguments_[DNNL_ARG_WEIGHTS_ITER] = back_hh_;
    back_arguments_[DNNL_ARG_DIFF_SRC_LAYER] = memory(x_d_, engine_, arrays.d_x);
    back_arguments_[DNNL_ARG_DIFF_SRC_ITER] = filled(h_d_, 0);
    back_arguments_[DNNL_ARG_DIFF_WEIGHTS_LAYER] = d_packed_ih_;
    back_arguments_[DNNL_ARG_DIFF_WEIGHTS_ITER] = d_packed_hh_;
    back_arguments_[DNNL_ARG_DIFF_BIAS] = d_bias_;
    back_arguments_[DNNL_ARG_DIFF_DST_LAYER] = filled(output_d_, 1);  // of the sum of the output
    back_arguments_[DNNL_ARG_DIFF_DST_ITER] = filled(h_d_, 0);
  }

  void backward() {
    move(weight_ih_, back_ih_);
    move(weight_hh_, back_hh_);
    for (memory* added_to : {&d_packed_ih_, &d_packed_hh_, &d_bias_}) {
      std::fill_n(static_cast<char*>(added_to->get_data_handle()), added_to->get_desc().get_size(), 0);
    }
    backward_.execute(stream_, back_arguments_);
    move(d_packed_ih_, d_weight_ih_);
    move(d_packed_hh_, d_weight_hh_);
  }

  bool training_;
  engine engine_{engine::kind::cpu, 0};
  stream stream_{engine_};
  memory::desc x_d_, h_d_, weight_ih_d_, weight_hh_d_, bias_d_, output_d_, any_ih_, any_hh_;
  lbr_gru_forward::primitive_desc forward_d_;
  lbr_gru_forward forward_;
  lbr_gru_backward backward_;
  memory weight_ih_, weight_hh_, packed_ih_, packed_hh_;
  memory back_ih_, back_hh_, d_packed_ih_, d_packed_hh_, d_weight_ih_, d_weight_hh_, d_bias_;
  std::unordered_map<int, memory> arguments_, back_arguments_;
};

std::string problem;

}  // namespace

extern "C" {

// Null when oneDNN refuses; gru_problem() then says why.
void* gru_new(int steps, int batch, int inputs, int hidden, int training, int threads, const Arrays* arrays) {
  try {
    omp_set_num_threads(threads);
    return new Gru(steps, batch, inputs, hidden, training != 0, *arrays);
  } catch (const std::exception& error) {
    problem = error.what();
    return nullptr;
  }
}

const char* gru_problem() { return problem.c_str(); }

void gru_run(void* gru) { static_cast<Gru*>(gru)->run(); }

void gru_step(void* gru, float* x, float* h, float* h_new) { static_cast<Gru*>(gru)->step(x, h, h_new); }

void gru_delete(void* gru) { delete static_cast<Gru*>(gru); }
}
