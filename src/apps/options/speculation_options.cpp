// Who drafts tokens ahead of the model, and how many.
#include "apps/options/option_spec.h"

namespace rafter::apps {

std::vector<OptionSpec> speculation_options() {
    return {
        {.name = "speculate",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kText,
         .value = "KIND",
         .choices = {"auto", "off", "ngram", "draft", "compare"},
         .default_value = "auto",
         .help = "What drafts tokens: ngram (repeats what followed the same words before), draft (a smaller model), off; auto: draft with "
                 "--draft, else ngram"},
        {.name = "draft",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kModel,
         .value = "MODEL",
         .help = "The smaller model that drafts: a file or name, as for MODEL; it needs the same vocabulary"},
        {.name = "draft-max",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kWhole,
         .value = "K",
         .whole = {.least = 1, .most = 64},
         .help = "Draft at most K tokens per sequence and step (default: 8; 32 where the machine profile says that AMX's tiles win)"},
        {.name = "draft-fixed",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kWhole,
         .value = "K",
         .whole = {.least = 0, .most = 64},
         .help = "Always check K draft tokens, even where that is slower (for measurements)"},
        {.name = "draft-log",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Log how many draft tokens each step checks and why, one JSON object per line"},
        {.name = "draft-accept",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kNumber,
         .value = "P",
         .help = "With --replay: run the draft model, and make each of its draft tokens right with probability P"},
    };
}

}  // namespace rafter::apps
