// Which type each weight of a quantised checkpoint has: scales and zeros counted, and modules that were left alone at their own type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/program.h"

namespace rafter::model {

// Bits that matrices of one scheme take: an element with its group's scale and zero, and what each row and column has beside.
struct StoredType {
    std::string name;          // "int4, groups of 128"
    double bits = 16.0;        // an element, scales and zeros of its group included
    double row_bits = 0.0;     // a scale each output channel has
    double column_bits = 0.0;  // GPTQ's order of columns
};

struct Quantization {
    std::string method;  // "awq"
    struct Rule {
        std::vector<std::string> targets;  // modules; empty: all matrices that `kept` does not name
        StoredType type;
    };
    std::vector<Rule> rules;        // the first that names a module holds
    std::vector<std::string> kept;  // modules at their own type: paths, parts of paths, "re:" and an expression, "*" as in file names
    double kept_bits = 16.0;        // of what is not quantised
    bool experts_only = false;      // gpt-oss: nothing but experts is
    bool includes_head = false;     // the output matrix is quantised as well
    bool includes_table = false;    // the embedding's table too
};

// Paths of a weight as checkpoints of Hugging Face name its module: "model.layers.3.self_attn.q_proj". Several where families differ or
// fuse matrices.
[[nodiscard]] std::vector<std::string> module_paths(std::string_view tensor);

// True when one of the patterns names one of the paths.
[[nodiscard]] bool names_module(const std::vector<std::string>& patterns, const std::vector<std::string>& paths);

// Bits an element of the weight takes.
[[nodiscard]] double stored_bits(const Quantization& quantization, const Weight& weight);

}  // namespace rafter::model
