/// tests/fuzz/sealed_fuzz.cpp - fragments, changes of the index, key tables and fleets from devices that lie.
/// First byte: which parser. Fragments: second byte says which genuine one, the rest is xored into it.
#include <algorithm>
#include <cstdlib>

#include "node/fleet.hpp"
#include "sealed/delta.hpp"
#include "sealed/fragment.hpp"
#include "sealed/key_table.hpp"

namespace {

using namespace dvesp;

void require(bool is_true) {
    if (!is_true) std::abort();
}

const sealed::RecordName record{"docs", "an id", 3, {1, 2, 3}};
const sealed::Plan plan{3, 5};
const sealed::DeltaName delta{1, 2, 0, 0};

/// Genuine fragments, made once.
struct Genuine {
    std::vector<std::vector<std::uint8_t>> fragments, deltas;
    Genuine() {
        const std::vector<float> vector = {1, 2, 3, 4};
        const std::vector<std::uint8_t> metadata = {0xa0};
        crypto::AesCtrStream stream{crypto::Key32()};
        sealed::RecordSealer sealer{crypto::Key32(), crypto::Key32()};
        require(sealer.seal(record, plan, sealed::Mode::shamir, vector, metadata, stream, fragments).ok());
        sealed::DeltaSealer deltas_sealer{crypto::Key32(), crypto::Key32()};
        require(deltas_sealer.seal(delta, plan, 1, metadata, stream, deltas).ok());
    }
};

/// `change` xored into a genuine one, what is longer behind it: opened only if nothing is different.
std::vector<std::uint8_t> changed(const std::vector<std::uint8_t>& from, ByteView change) {
    std::vector<std::uint8_t> out = from;
    for (std::size_t at = 0; at < change.size(); ++at) {
        if (at < out.size()) out[at] ^= change[at];
        if (at >= from.size()) out.push_back(change[at]);
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Genuine genuine;
    if (size < 2) return 0;
    const std::uint8_t index = static_cast<std::uint8_t>(data[1] % 5 + 1);
    const ByteView rest(data + 2, size - 2);
    sealed::RecordSealer sealer{crypto::Key32(), crypto::Key32()};
    sealed::DeltaSealer deltas{crypto::Key32(), crypto::Key32()};
    switch (data[0] % 6) {
        case 0:
            require(!sealer.open_share(record, plan, sealed::Mode::shamir, index, rest).ok() ||
                    rest.size() == genuine.fragments[0].size());
            break;
        case 1: {
            const auto bytes = changed(genuine.fragments[index - 1U], rest);
            const bool is_opened = sealer.open_share(record, plan, sealed::Mode::shamir, index, bytes).ok();
            require(is_opened == (bytes == genuine.fragments[index - 1U]));
            break;
        }
        case 2:
            static_cast<void>(deltas.open(delta, index, rest).ok());
            break;
        case 3: {
            const auto bytes = changed(genuine.deltas[index - 1U], rest);
            require(deltas.open(delta, index, bytes).ok() == (bytes == genuine.deltas[index - 1U]));
            break;
        }
        case 4: {
            const sealed::UserSecret secret{sealed::SecretKind::raw_key, crypto::SecretBytes(crypto::key_bytes)};
            require(!sealed::KeyTable::open(rest, secret).ok());
            break;
        }
        default: {
            const auto fleet = node::parse_fleet(rest);
            if (fleet.ok()) require(std::ranges::equal(node::encode_fleet(*fleet), rest));
            break;
        }
    }
    return 0;
}
