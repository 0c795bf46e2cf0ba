// How the next token is chosen; the ranges are those that the sampler takes, or what makes sense of them.
#include "apps/options/option_spec.h"

namespace rafter::apps {
namespace {

constexpr NumberRange kPenalty{.least = -1e6, .most = 1e6};

}  // namespace

std::vector<OptionSpec> sampling_options() {
    return {
        {.name = "logit-bias",
         .subject = kSamplingSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "ID=VALUE",
         .help = "Add VALUE to the logit of token ID (may be given several times)"},
        {.name = "repeat-penalty",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "X",
         .number = {.least = 1e-6, .most = 1e6},
         .default_value = "1",
         .help = "Divide positive logits of tokens seen in prompt or answer by this, multiply negative ones"},
        {.name = "frequency-penalty",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "X",
         .number = kPenalty,
         .default_value = "0",
         .help = "Subtract this for each time a token is in the answer already"},
        {.name = "presence-penalty",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "X",
         .number = kPenalty,
         .default_value = "0",
         .help = "Subtract this once from tokens that are in the answer already"},
        {.name = "temperature",
         .also = "--temp",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "X",
         .number = {.least = 0.0, .most = 100.0},
         .default_value = "0",
         .help = "0 takes the likeliest token each time, 1 draws as the model thinks"},
        {.name = "top-k",
         .subject = kSamplingSubject,
         .kind = ValueKind::kWhole,
         .value = "K",
         .default_value = "0",
         .help = "Draw from the K likeliest tokens (0: all)"},
        {.name = "top-p",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "P",
         .default_value = "1",
         .help = "Draw from the likeliest tokens that together have this probability"},
        {.name = "min-p",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "P",
         .default_value = "0",
         .help = "Draw from tokens at least this fraction as likely as the likeliest"},
        {.name = "typical-p",
         .subject = kSamplingSubject,
         .kind = ValueKind::kNumber,
         .value = "P",
         .default_value = "1",
         .help = "Draw from the tokens that surprise about as much as expected and together have this probability"},
        {.name = "seed",
         .subject = kSamplingSubject,
         .kind = ValueKind::kWhole,
         .value = "N",
         .whole = {.least = 0, .most = UINT64_MAX},
         .unset = "-1",
         .otherwise = "a new one each time, as with -1",
         .help = "Same seed, same text; of made-up prompts, the same prompts"},
    };
}

}  // namespace rafter::apps
