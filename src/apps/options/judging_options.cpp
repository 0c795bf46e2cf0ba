// Options of eval and compare: what a model is judged by.
#include "apps/options/option_spec.h"

namespace rafter::apps {

std::vector<OptionSpec> judging_options() {
    return {
        {.name = "reference",
         .spelled = "against",
         .has_key = false,
         .subject = kWorkloadSubject,
         .kind = ValueKind::kModel,
         .value = "REFERENCE",
         .help = "Compare the model's distributions with those of this one, of the same vocabulary: KL divergence, and how often the "
                 "likeliest token is the same"},
        {.name = "reference-mode",
         .subject = kWorkloadSubject,
         .kind = ValueKind::kText,
         .value = "HOW",
         .choices = {"exact", "same"},
         .default_value = "exact",
         .help = "What the reference computes with: exact (float32 activations and cache) or the same as the model"},
        {.name = "tasks",
         .has_key = false,
         .subject = kWorkloadSubject,
         .kind = ValueKind::kFile,
         .value = "FILE.jsonl",
         .excludes = "reference",
         .help = "Answer multiple-choice tasks instead of scoring a text; JSON lines of context or question, choices and answer (the right "
                 "one's index); built-in: 64 tasks in the program"},
        {.name = "models",
         .place = "MODEL",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kModel,
         .list = ListKind::kRepeated,
         .value = "MODEL",
         .help = "Two models or more: GGUF files, folders, or names that `rafter models` lists"},
        {.name = "compare-json",
         .spelled = "json",
         .has_key = false,
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Write the comparison as JSON"},
        {.name = "compare-svg",
         .spelled = "svg",
         .has_key = false,
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Draw quality lost against tokens a second, with the Pareto front"},
        {.name = "front-svg",
         .spelled = "svg",
         .has_key = false,
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Draw the loss against size, or against tokens a second, with the choice"},
    };
}

}  // namespace rafter::apps
