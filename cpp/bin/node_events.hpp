/// bin/node_events.hpp - turns what happens in a node into lines of its log (docs/operations.md).
#pragma once

#include <map>
#include <string>

#include "codec/rpc.hpp"
#include "node/cluster_node.hpp"
#include "os/event_log.hpp"
#include "os/refusals.hpp"

namespace dvesp::bin {

class NodeEvents {
  public:
    /// @param log must outlive the object
    explicit NodeEvents(os::EventLog& log) : log_(log) {}

    /// Compares the node with what it was. @threads the core
    void watch(const node::ClusterNode& node);
    /// @param code 0 = done, else of base/errors.def  @threads any
    void note_answer(codec::Op op, const std::array<std::uint8_t, 16>& trace, std::uint16_t code, double time_ms);
    /// @param trace a traceparent, or nothing  @threads any
    void note_refusal(os::Refusal refusal, const std::string& message, const std::string& trace);

  private:
    void watch_counters(const node::NodeCounters& now);

    os::EventLog& log_;
    std::uint32_t ticks_ = 0;
    std::map<cluster::GroupId, bool> leads_;
    node::NodeCounters counters_;
    std::string damage_;
};

}  // namespace dvesp::bin
