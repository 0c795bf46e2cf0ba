// What is read beside the model and what is printed, and where it goes.
#include "apps/options/option_spec.h"

namespace rafter::apps {

std::vector<OptionSpec> output_options() {
    return {
        {.name = "in",
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "FILE.jsonl",
         .help = "The requests, a JSON object a line: custom_id, method, url, body"},
        {.name = "out", .also = "-o", .subject = kOutputSubject, .kind = ValueKind::kFile, .value = "FILE", .help = "Where the results go"},
        {.name = "resume",
         .subject = kOutputSubject,
         .kind = ValueKind::kText,
         .value = "HOW",
         .choices = {"again", "strict"},
         .default_value = "again",
         .help =
             "Where --out has results of another model or of requests that have changed: again (ask those requests again), strict (fail)"},
        {.name = "json", .subject = kOutputSubject, .help = "Print one JSON object"},
        {.name = "quiet",
         .also = "-q",
         .subject = kOutputSubject,
         .help = "Only the answer, and what fails: no progress, notes, warnings or statistics"},
        {.name = "table", .subject = kOutputSubject, .help = "Show every op too"},
        {.name = "token-logprobs",
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "OUT.jsonl",
         .help = "Write a JSON line for each scored token: window, position, token, logprob"},
        {.name = "save",
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .help = "Write the profile here too (it always goes to the cache folder)"},
        {.name = "force",
         .has_key = false,
         .has_variable = false,
         .subject = kOutputSubject,
         .help = "Save the profile even where the machine was too busy for it to be trusted"},
        {.name = "svg", .subject = kOutputSubject, .kind = ValueKind::kFile, .value = "FILE", .help = "Draw the staircase of bandwidth"},
        {.name = "profile",
         .subject = kOutputSubject,
         .kind = ValueKind::kText,
         .value = "FORMAT",
         .choices = {"table", "json", "trace"},
         .implied = "table",
         .help = "Say of each op what it should have taken and what it took: table, json or trace (Chrome, Perfetto)"},
        {.name = "profile-file",
         .subject = kOutputSubject,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .otherwise = "standard error; a trace: rafter-trace.json",
         .help = "Where the profile goes"},
    };
}

}  // namespace rafter::apps
