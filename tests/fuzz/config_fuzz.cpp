/// tests/fuzz/config_fuzz.cpp - libFuzzer target: a collection's configuration is refused or inside its ranges.
#include "fuzz/fuzz_support.hpp"
#include "store/types.hpp"

using namespace dvesp;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::Bytes bytes(data, data + size);
    const auto config = store::parse_config(bytes);
    if (!config.ok()) return 0;
    require(store::check_config(*config).ok());
    const auto again = store::parse_config(store::encode_config(*config));
    require(again.ok() && store::encode_config(*again) == store::encode_config(*config));
    require(store::metric_from_name(store::metric_name(config->metric)) == config->metric);
    require(store::index_from_name(store::index_name(config->index)) == config->index);
    return 0;
}
