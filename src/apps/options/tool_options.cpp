// Options of the verbs that run no model: tokenize, template, info, models and completions.
#include "apps/options/option_spec.h"

namespace rafter::apps {
namespace {

constexpr Subject kTextSubject{.section = "text", .heading = "Text"};
constexpr Subject kTemplateSubject{.section = "template", .heading = "Template"};

}  // namespace

std::vector<OptionSpec> tool_options() {
    return {
        {.name = "special", .subject = kTextSubject, .help = "Parse special tokens in the text; with --decode: show them"},
        {.name = "bos", .subject = kTextSubject, .help = "Start each text with the BOS token"},
        {.name = "null", .subject = kTextSubject, .help = "Texts are separated by NUL bytes; print a line of ids for each"},
        {.name = "decode", .subject = kTextSubject, .help = "Turn ids (1 2 3, 1,2,3 or [1,2,3]) into text"},
        {.name = "template",
         .place = "MODEL",
         .has_flag = false,
         .subject = kTemplateSubject,
         .kind = ValueKind::kModel,
         .value = "MODEL",
         .help = "A GGUF file, a folder with one or a model's name; or a file with a template's text (FILE.jinja)"},
        {.name = "messages",
         .subject = kTemplateSubject,
         .kind = ValueKind::kFile,
         .value = "FILE.json",
         .help = "A JSON file with the messages, or with a request's body; - reads standard input"},
        {.name = "tools",
         .subject = kTemplateSubject,
         .kind = ValueKind::kFile,
         .value = "FILE.json",
         .help = "A JSON file with the tools' descriptions"},
        {.name = "no-generation-prompt",
         .subject = kTemplateSubject,
         .help = "Leave out the generation prompt, which opens the model's answer"},
        {.name = "var",
         .subject = kTemplateSubject,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "NAME=JSON",
         .help = "Set a variable of the template (may be given several times)"},
        {.name = "tensors", .subject = kOutputSubject, .help = "List every tensor"},
        {.name = "model-name",
         .place = "NAME",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kModel,
         .value = "NAME",
         .help = "A name that `rafter models` lists, in upper or lower case"},
        {.name = "model-source",
         .place = "NAME",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kModel,
         .value = "NAME",
         .help = "A name that `rafter models` lists, in upper or lower case, or USER/REPO[:QUANT] on Hugging Face"},
        {.name = "yes", .also = "-y", .has_key = false, .has_variable = false, .help = "Remove without asking"},
        {.name = "completions",
         .place = "KIND",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kText,
         .value = "KIND",
         .choices = {"bash", "zsh", "fish", "man", "options", "words"},
         .help = "bash, zsh, fish: a script for that shell; man: the manual page; options: the table of options as JSON; words: what may "
                 "follow WORDS"},
        {.name = "words",
         .place = "WORDS",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "WORDS",
         .help = "A command line so far, after --"},
    };
}

}  // namespace rafter::apps
