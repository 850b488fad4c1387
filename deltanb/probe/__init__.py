"""One forward pass without computing anything: which modules are called, in which order, and what shape comes out."""

from deltanb.probe._inputs import shaped_inputs, trial_inputs
from deltanb.probe._modes import evaluating, modes_kept
from deltanb.probe._pass import Call, Trace, call_order, first_input, plain_experts, probe, quiet_fakes

__all__ = [
    "Call",
    "Trace",
    "call_order",
    "evaluating",
    "first_input",
    "modes_kept",
    "plain_experts",
    "probe",
    "quiet_fakes",
    "shaped_inputs",
    "trial_inputs",
]
