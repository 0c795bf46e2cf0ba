// rafter completions bash|zsh|fish|man|options|words: shell completion, the manual page and the table of options. The shells ask `words` at
// each press of Tab, so that what they offer is what this program takes.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli.h"
#include "apps/man_page.h"
#include "apps/options/flags.h"
#include "apps/output.h"
#include "apps/shape.h"
#include "files/model_store.h"

namespace rafter::apps {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kBash = R"bash(# Completion of rafter's command line for bash:  source <(rafter completions bash)
_rafter() {
    local candidate
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        if [[ $candidate == :files ]]; then
            compopt -o filenames
            while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        else
            COMPREPLY+=("$candidate")
        fi
    done < <(rafter completions words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _rafter rafter
)bash";

constexpr std::string_view kZsh = R"zsh(#compdef rafter
# Completion of rafter's command line for zsh:  source <(rafter completions zsh)
_rafter() {
    local line files=0 tab=$'\t'
    local -a candidates
    for line in ${(f)"$(rafter completions words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        if [[ $line == ":files" ]]; then
            files=1
        else
            line=${line//:/\\:}
            candidates+=("${line/$tab/:}")
        fi
    done
    (( $#candidates )) && _describe rafter candidates
    (( files )) && _files
}
if [[ $funcstack[1] == _rafter ]]; then _rafter "$@"; else compdef _rafter rafter; fi
)zsh";

constexpr std::string_view kFish = R"fish(# Completion of rafter's command line for fish:  rafter completions fish | source
function __rafter_candidates
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in (rafter completions words -- $before[2..-1] "$current" 2>/dev/null)
        if test "$line" = ':files'
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c rafter -f -a '(__rafter_candidates)'
)fish";

const OptionShape* find_option(const VerbShape& verb, std::string_view name) {
    for (const OptionShape& option : verb.options) {
        for (const std::string& known : option.names) {
            if (known == name) return &option;
        }
    }
    return nullptr;
}

// Prints what may follow: one candidate a line, a tab and what it means; ":files" where a path may stand.
class Candidates {
  public:
    explicit Candidates(std::string_view begun) : begun_(begun) {}

    void add(std::string_view word, std::string_view meaning) const {
        if (word.starts_with(begun_)) fmt::print("{}\t{}\n", word, meaning.substr(0, meaning.find('\n')));
    }
    void add_values(const OptionShape& option) const {
        for (const std::string& choice : option.choices) add(choice, "");
        if (option.names_model) {
            for (const files::KnownModel& model : files::known_models()) add(model.name, model.description);
        }
        if (option.takes_file) fmt::print(":files\n");
    }
    void add_options(const VerbShape& verb) const {
        for (const OptionShape& option : verb.options) {
            for (const std::string& name : option.names) add(name, option.description);
        }
    }

  private:
    std::string_view begun_;
};

// words: the command line after `rafter`, the last one begun (perhaps empty).
void print_candidates(const VerbShape& app, std::span<const std::string> words) {
    const VerbShape* verb = &app;
    const OptionShape* waiting = nullptr;  // the option whose value comes next
    std::size_t n_positionals = 0;
    for (const std::string& word : words.first(words.size() - 1)) {
        if (word == "=") continue;  // bash parts --name=value in three
        if (waiting != nullptr) {
            waiting = nullptr;
            continue;
        }
        if (word.starts_with('-')) {
            const OptionShape* option = find_option(*verb, word);
            if (option != nullptr && !option->value.empty()) waiting = option;
            continue;
        }
        const VerbShape* inner = nullptr;
        for (const VerbShape& known : verb->verbs) {
            if (known.name == word) inner = &known;
        }
        if (inner != nullptr) {
            verb = inner;
            n_positionals = 0;
        } else {
            ++n_positionals;
        }
    }
    const std::string_view begun = words.back();
    const Candidates candidates(begun == "=" ? std::string_view() : begun);
    if (waiting != nullptr) {
        candidates.add_values(*waiting);
    } else if (words.back().starts_with('-')) {
        candidates.add_options(*verb);
    } else {
        for (const VerbShape& inner : verb->verbs) candidates.add(inner.name, inner.description);
        if (n_positionals < verb->positionals.size()) candidates.add_values(verb->positionals[n_positionals]);
    }
}

std::string_view name_of(ValueKind kind) {
    switch (kind) {
        case ValueKind::kFlag:
            return "flag";
        case ValueKind::kWhole:
            return "whole";
        case ValueKind::kNumber:
            return "number";
        case ValueKind::kBytes:
            return "bytes";
        case ValueKind::kText:
            return "text";
        case ValueKind::kFile:
            return "file";
        case ValueKind::kModel:
            return "model";
    }
    return "";
}

ordered_json option_json(const BoundOption& bound) {
    const OptionSpec& spec = bound.spec;
    ordered_json json{{"name", spec.name},
                      {"flags", spec.flags()},
                      {"place", spec.place},
                      {"variable", spec.variable()},
                      {"key", spec.key()},
                      {"kind", name_of(spec.kind)},
                      {"choices", spec.choices},
                      {"default", spec.default_value},
                      {"otherwise", spec.otherwise},
                      {"required", bound.required},
                      {"list", bound.takes_list},
                      {"unset", spec.unset},
                      {"help", spec.help}};
    if (spec.kind == ValueKind::kWhole && spec.choices.empty()) json["range"] = {spec.whole.least, spec.whole.most};
    if (spec.kind == ValueKind::kNumber) json["range"] = {spec.number.least, spec.number.most};
    return json;
}

void put_verb(ordered_json& json, const Verb& verb) {
    ordered_json options = ordered_json::array();
    for (const BoundOption& bound : verb.options.options()) options.push_back(option_json(bound));
    json["verbs"][verb.name] = std::move(options);
    for (const Verb& inner : verb.inner) put_verb(json, inner);
}

// Each verb's rows of the table, and the names of all rows.
ordered_json table_json(const Cli& cli) {
    ordered_json json{{"verbs", ordered_json::object()}, {"table", ordered_json::array()}};
    for (const auto& verb : cli.verbs) put_verb(json, *verb);
    for (const OptionSpec& spec : option_table()) json["table"].push_back(spec.name);
    return json;
}

}  // namespace

void add_completions(CLI::App& app, Cli& cli) {
    struct Arguments {
        std::string kind;
        std::vector<std::string> words;
    };
    const auto arguments = std::make_shared<Arguments>();
    Verb verb{.name = "completions", .summary = "Print shell completion for bash, zsh or fish, or the man page"};
    verb.options.add("completions", arguments->kind, {.required = true});
    verb.options.add("words", arguments->words);
    verb.footer =
        "`cmake --install` puts each script where its shell looks for it. Without an installation, add:\n"
        "  source <(rafter completions bash)      to ~/.bashrc\n"
        "  source <(rafter completions zsh)       to ~/.zshrc\n"
        "  rafter completions fish | source       to ~/.config/fish/config.fish";
    verb.run = [&cli, arguments](const Environment& /*environment*/) -> Result<int> {
        if (arguments->kind == "words") {
            if (!arguments->words.empty()) print_candidates(shape_of(cli), arguments->words);
            return 0;
        }
        const std::string text = arguments->kind == "bash"   ? std::string(kBash)
                                 : arguments->kind == "zsh"  ? std::string(kZsh)
                                 : arguments->kind == "fish" ? std::string(kFish)
                                 : arguments->kind == "man"  ? man_page(shape_of(cli))
                                                             : table_json(cli).dump(1) + "\n";
        RAFTER_TRY_VOID(write_stdout(text));
        return 0;
    };
    add_verb(app, cli, std::move(verb));
}

}  // namespace rafter::apps
