// One row a family: the marker that only its vocabulary has, and how it writes turns. Sources: the models' cards and prompt-format pages.
#include "engine/known_templates.h"

#include <array>

namespace rafter::engine {
namespace {

struct KnownTemplate {
    std::string_view marker;
    std::string_view source;
};

// https://ai.google.dev/gemma/docs/core/prompt-structure: roles user and model; what the system says stands before the first user turn.
constexpr std::string_view kGemma = R"({{ bos_token }}
{%- set state = namespace(preface='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' or message.role == 'developer' -%}
{%- set state.preface = state.preface + message.content | trim + '\n\n' -%}
{%- else -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' + state.preface + message.content | trim + '<end_of_turn>\n' }}
{%- set state.preface = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%})";

// https://github.com/openai/openai-python/blob/v0.28.1/chatml.md
constexpr std::string_view kChatMl = R"({%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%})";

// https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/
constexpr std::string_view kLlama3 = R"({{ bos_token }}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif -%})";

constexpr std::array kTemplates{
    KnownTemplate{"<start_of_turn>", kGemma},
    KnownTemplate{"<|start_header_id|>", kLlama3},
    KnownTemplate{"<|im_start|>", kChatMl},
};

}  // namespace

std::optional<std::string_view> known_template(const text::Tokenizer& tokenizer) {
    for (const KnownTemplate& known : kTemplates) {
        if (tokenizer.find(known.marker)) return known.source;
    }
    return std::nullopt;
}

}  // namespace rafter::engine
