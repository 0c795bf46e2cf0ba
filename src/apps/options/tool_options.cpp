// Options of the verbs that run no model: convert, tokenize, template, info, models and completions.
#include "apps/options/option_spec.h"
#include "engine/loading/served_model.h"
#include "engine/quantize/mixes.h"

namespace rafter::apps {
namespace {

constexpr Subject kTextSubject{.section = "text", .heading = "Text"};
constexpr Subject kTemplateSubject{.section = "template", .heading = "Template"};

std::vector<std::string> convert_types() {
    std::vector<std::string> types{"auto"};
    for (const std::string_view name : engine::weights_type_names()) types.emplace_back(name);
    return types;
}

std::vector<std::string> quantize_types() {
    std::vector<std::string> types;
    for (const std::string_view name : engine::weights_type_names()) types.emplace_back(name);
    for (const engine::Mix& mix : engine::mixes()) types.emplace_back(mix.name);
    return types;
}

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
        {.name = "convert-source",
         .place = "SOURCE",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kModel,
         .value = "SOURCE",
         .help = "A GGUF file (of a split one, any part), a folder with config.json and safetensors files, or a model's name"},
        {.name = "convert-out",
         .place = "OUT.gguf",
         .has_flag = false,
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kFile,
         .value = "OUT.gguf",
         .help = "The file to write; an interrupted run leaves OUT.gguf.partial, from which the same command continues"},
        {.name = "convert-type",
         .spelled = "type",
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kText,
         .value = "TYPE",
         .choices = convert_types(),
         .any_case = true,
         .default_value = "auto",
         .help = "Number type of matrices: auto keeps each as it is, any other type rounds each weight plainly"},
        {.name = "quantize-type",
         .spelled = "type",
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kText,
         .value = "TYPE",
         .choices = quantize_types(),
         .any_case = true,
         .help = "Number type of all matrices, or a mix such as Q4_K_M, which has more bits where errors cost more"},
        {.name = "imatrix",
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kFile,
         .value = "FILE",
         .otherwise = "all columns count the same",
         .help = "How much each column of each matrix counts, as `rafter imatrix` or llama-imatrix measured it"},
        {.name = "tensor",
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kText,
         .list = ListKind::kRepeated,
         .value = "PATTERN=TYPE",
         .help = "Type of the matrices that the pattern names: a part of the name, or all of it with * and ?; the last one holds"},
        {.name = "dry-run", .has_key = false, .has_variable = false, .help = "Say what would be written, and write nothing"},
        {.name = "split",
         .has_key = false,
         .has_variable = false,
         .kind = ValueKind::kBytes,
         .value = "SIZE",
         .otherwise = "one file",
         .help = "Write parts OUT-00001-of-0000N.gguf of at most this size each, such as 2GB"},
        {.name = "allow-nan",
         .has_key = false,
         .has_variable = false,
         .help = "Convert weights that are NaN or infinite too, which is an error otherwise"},
        {.name = "replace",
         .spelled = "force",
         .has_key = false,
         .has_variable = false,
         .help = "Replace a file that has the name of the output"},
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
