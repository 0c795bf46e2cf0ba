// What the machine runs the model with.
#include "apps/options/option_spec.h"
#include "backend/backends.h"
#include "engine/loading/served_model.h"
#include "model/rewrites.h"

namespace rafter::apps {
namespace {

std::vector<std::string> instruction_set_names() {
    const std::vector<std::string_view> names = backend::instruction_sets();
    return {names.begin(), names.end()};
}

std::vector<std::string> weights_types() {
    const std::vector<std::string_view> names = engine::weights_type_names();
    return {names.begin(), names.end()};
}

}  // namespace

std::vector<OptionSpec> machine_options() {
    return {
        {.name = "threads",
         .also = "-t",
         .subject = kMachineSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = {.least = 1, .most = 4096},
         .otherwise = "all CPUs that this process may use",
         .help = "Compute threads"},
        {.name = "machine",
         .subject = kMachineSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .otherwise = "this machine's",
         .help = "A machine profile that `rafter probe --save` wrote"},
        {.name = "quick",
         .subject = kMachineSubject,
         .help = "Measure for less time and less exactly: under 3 s instead of under 20 s; a ladder under a minute"},
        {.name = "isa",
         .subject = kMachineSubject,
         .kind = ValueKind::kText,
         .value = "NAME",
         .choices = instruction_set_names(),
         .otherwise = "the machine's best",
         .help = "Instruction set of the kernels"},
        {.name = "activations",
         .subject = kMachineSubject,
         .kind = ValueKind::kText,
         .value = "NAME",
         .choices = {"q8", "q16", "f32"},
         .default_value = "q8",
         .help = "Number type of activations that are multiplied by quantised weights: q8 (fastest), q16 (more exact, as fast when memory "
                 "is the limit), f32 (exact, slow)"},
        {.name = "weights",
         .subject = kMachineSubject,
         .kind = ValueKind::kText,
         .value = "TYPE",
         .choices = weights_types(),
         .any_case = true,
         .otherwise = "the types in the file",
         .help = "Number type that the weights are held in: matrices are dequantised and encoded again while the model loads, as rafter "
                 "quantize --type does without importances; a 4-bit file that was quantised with importances loses less"},
        {.name = "no-fuse",
         .subject = kMachineSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kCommas,
         .value = "NAME,..",
         .choices = {model::kFusions.begin(), model::kFusions.end()},
         .help =
             "Turn fusions off, to measure what they bring: linears (matrices with the same input), rows (small ops), some of these, or "
             "attention (flash attention: all scores then go through memory, and answers may differ in the last bits)"},
    };
}

}  // namespace rafter::apps
