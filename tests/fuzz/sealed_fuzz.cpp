/// tests/fuzz/sealed_fuzz.cpp - fragments, changes of the index, key tables and fleets from devices that lie.
/// First byte: which parser. Fragments: second byte says which genuine one, the rest is xored into it.
#include <algorithm>
#include <cstdlib>

#include "base/sha256.hpp"
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
        require(deltas_sealer.seal(delta, plan, 1, 77, metadata, stream, deltas).ok());
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

class Zeros final : public sealed::RandomSource {
  public:
    void fill(MutableBytes out) override { std::fill(out.begin(), out.end(), std::uint8_t{0}); }
};

/// A table that ends with a right checksum is read to its end; beside the genuine one it changes nothing.
void try_table(ByteView bytes) {
    const sealed::UserSecret secret{sealed::SecretKind::raw_key, crypto::SecretBytes(crypto::key_bytes)};
    Zeros zeros;
    static const std::vector<std::uint8_t> table = [&] {
        auto made = sealed::KeyTable::create(secret, zeros);
        require(made.ok() && made->need("names", zeros).ok());
        return made->encode();
    }();
    const auto with_checksum = [](std::vector<std::uint8_t> body) {
        const Hash check = sha256(body);
        body.insert(body.end(), check.begin(), check.end());
        return body;
    };
    const std::vector<std::uint8_t> body(table.begin(), table.end() - static_cast<std::ptrdiff_t>(sizeof(Hash)));
    require(!sealed::KeyTable::open(bytes, secret).ok());
    static_cast<void>(sealed::KeyTable::open(with_checksum({bytes.begin(), bytes.end()}), secret).ok());
    const auto lie = with_checksum(changed(body, bytes));
    require(sealed::KeyTable::open(lie, secret).ok() == (lie == table));
    std::array<std::uint8_t, 16> store_id{};
    const auto found = sealed::KeyTable::newest({store_id, {}, {ByteView(lie), ByteView(table)}}, secret);
    require(found.ok() && found->encode() == table);
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
        case 4:
            try_table(rest);
            break;
        default: {
            const auto fleet = node::parse_fleet(rest);
            if (fleet.ok()) require(std::ranges::equal(node::encode_fleet(*fleet), rest));
            break;
        }
    }
    return 0;
}
