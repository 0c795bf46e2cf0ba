// What families do that no shared key says; each is named by rows of families.cpp.
#pragma once

#include "model/hf/family.h"

namespace rafter::model::hf {

// Of attention and feed-forward alone (readers_dense.cpp).
void read_gpt2(Reading& r);
void read_gpt_neo(Reading& r);
void read_opt(Reading& r);
void read_bloom(Reading& r);
void read_falcon(Reading& r);
void read_mpt(Reading& r);
void read_phi(Reading& r);
void read_stablelm(Reading& r);
void read_cohere(Reading& r);
void read_apertus(Reading& r);
void read_chatglm(Reading& r);
void read_qwen1(Reading& r);
void read_mllama(Reading& r);
void read_nas(Reading& r);
void read_openelm(Reading& r);
void read_molmo(Reading& r);
void read_gemma3n(Reading& r);
void read_gemma4(Reading& r);
void read_lfm2(Reading& r);

// With experts (readers_experts.cpp).
void read_qwen_moe(Reading& r);
void read_gpt_oss(Reading& r);
void read_llama4(Reading& r);
void read_glm_moe(Reading& r);
void read_hunyuan(Reading& r);
void read_dbrx(Reading& r);
void read_jetmoe(Reading& r);
void read_arctic(Reading& r);
void read_longcat(Reading& r);
void read_mimo(Reading& r);
void read_balanced(Reading& r);

// With states (readers_states.cpp).
void read_gated_delta(Reading& r);
void read_kimi_linear(Reading& r);
void read_nemotron_h(Reading& r);
void read_granite_hybrid(Reading& r);
void read_bamba(Reading& r);
void read_falcon_h1(Reading& r);
void read_jamba(Reading& r);
void read_mamba(Reading& r);
void read_mamba2(Reading& r);
void read_zamba2(Reading& r);
void read_minimax(Reading& r);
void read_griffin(Reading& r);
void read_rwkv(Reading& r);

}  // namespace rafter::model::hf
