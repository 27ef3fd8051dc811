"""What one session is, and who chooses it: parameters, cohort, graph, vectors, policies (Specification §2).

The names of this package are public; its modules are for the library itself.
"""

from secagg.parameters.cohort import ClientId, Topology, check_client_id, client_id
from secagg.parameters.graph_choice import graph_parameters
from secagg.parameters.graph_conditions import ThreatModel, TopologyKind
from secagg.parameters.session import SessionParameters
from secagg.parameters.suite_ids import SuiteId

__all__ = [
    "ClientId",
    "SessionParameters",
    "SuiteId",
    "ThreatModel",
    "Topology",
    "TopologyKind",
    "check_client_id",
    "client_id",
    "graph_parameters",
]
