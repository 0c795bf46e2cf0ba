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
         .help =
             "Who drafts: ngram (what followed the same words before), draft (a smaller model), off; auto: draft with --draft, else ngram"},
        {.name = "draft",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kModel,
         .value = "MODEL",
         .help = "The smaller model, as MODEL; it must have the same vocabulary"},
        {.name = "draft-max",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kWhole,
         .value = "K",
         .whole = {.least = 1, .most = 64},
         .default_value = "8",
         .help = "Draft tokens a sequence and step at most"},
        {.name = "draft-fixed",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kWhole,
         .value = "K",
         .whole = {.least = 0, .most = 64},
         .help = "Always so many draft tokens, whether they pay or not (to measure)"},
        {.name = "draft-log",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Say of each step how many draft tokens it checks and why: a JSON object a line"},
        {.name = "draft-accept",
         .subject = kSpeculationSubject,
         .kind = ValueKind::kNumber,
         .value = "P",
         .help = "With --replay: the draft model runs, and its draft tokens are right with this chance"},
    };
}

}  // namespace rafter::apps
