// Runs the float model of an ONNX file: run_float MODEL.onnx PIXELS SCORES
//
// PIXELS: bytes, [image][c][h][w]. SCORES: written as doubles, [image][score]. What the import made of the model goes
// to stdout as JSON, errors to stderr with the exit code of the programs.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "graph/interpreter.h"
#include "graph/onnx_import.h"

namespace {

void run(const char* model, const char* pixels, const char* scores) {
  const sotto::graph::Network network = sotto::graph::import_onnx(model);
  const auto& shape = network.input_shape();
  std::cout << nlohmann::json{{"input", {shape.c, shape.h, shape.w}},
                              {"outputs", network.output_shape().c},
                              {"mean", network.mean},
                              {"std", network.std},
                              {"notes", network.notes},
                              {"network", sotto::graph::describe(network)}}
            << "\n";
  std::ifstream in(pixels, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in || bytes.size() % shape.size() != 0)
    throw sotto::Error(sotto::ErrorCode::bad_input, "the pixels do not fit the network");
  std::vector<std::vector<double>> images;
  const std::size_t plane = static_cast<std::size_t>(shape.h) * shape.w;
  for (std::size_t first = 0; first < bytes.size(); first += shape.size()) {
    std::vector<double> image;
    for (std::size_t k = 0; k < shape.size(); ++k)
      image.push_back((static_cast<unsigned char>(bytes[first + k]) / 255.0 - network.mean[k / plane]) /
                      network.std[k / plane]);
    images.push_back(std::move(image));
  }
  std::ofstream out(scores, std::ios::binary);
  for (const auto& s : sotto::graph::evaluate_all(network, images))
    out.write(reinterpret_cast<const char*>(s.data()), static_cast<std::streamsize>(s.size() * sizeof(double)));
  if (!out.flush()) throw sotto::Error(sotto::ErrorCode::bad_input, "cannot write the scores");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw sotto::Error(sotto::ErrorCode::usage, "usage: run_float MODEL.onnx PIXELS SCORES");
    run(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const sotto::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return static_cast<int>(e.code());
  }
}
