#!/usr/bin/env python3
"""Writes what Grafana reads: the dashboards, and the alerts of prometheus/rules/alerts.yml as Grafana's own.

    python3 grafana/make.py            writes grafana/dashboards and grafana/provisioning/alerting
    python3 grafana/make.py --check    says which of those files are not what it would write

Needs PyYAML (Debian: python3-yaml).
"""

import json
import pathlib
import re
import sys

import yaml

HERE = pathlib.Path(__file__).parent
# The uid that provisioning/datasources/prometheus.yml gives the data source.
PROMETHEUS = "prometheus"
WIDTH = 24
HEIGHT = 8


def panel(title, description, unit, *queries, kind="timeseries", width=8, height=HEIGHT, **options):
    """A panel. Each query is an expression and the legend of its series; `stack`, `max` and `format` are options."""
    custom = {"fillOpacity": 10, "showPoints": "never"}
    if options.get("stack"):
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 60, "lineWidth": 0}
    defaults = {"unit": unit, "min": 0, "custom": custom if kind == "timeseries" else {}}
    if "max" in options:
        defaults["max"] = options["max"]
    if "steps" in options:
        colours = [{"color": colour, "value": value} for value, colour in options["steps"]]
        defaults |= {"thresholds": {"mode": "absolute", "steps": colours}, "color": {"mode": "thresholds"}}
    looks = {
        "timeseries": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "colorMode": "value"},
        "gauge": {"reduceOptions": {"calcs": ["lastNotNull"]}, "showThresholdMarkers": True},
        "heatmap": {"calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Blues"}},
    }
    targets = [
        {
            "refId": chr(ord("A") + i),
            "expr": expr,
            "legendFormat": legend,
            "range": True,
            "format": "heatmap" if kind == "heatmap" else "time_series",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
        }
        for i, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": looks[kind],
        "targets": targets,
        "gridPos": {"w": width, "h": height},
    }


def placed(panels):
    """Lays the panels out from left to right, line by line."""
    x = y = line = 0
    for number, one in enumerate(panels, 1):
        place = one["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, line = 0, y + line, 0
        place |= {"x": x, "y": y}
        one["id"] = number
        x, line = x + place["w"], max(line, place["h"])
    return panels


def annotation(name, colour, expr, title):
    return {
        "name": name,
        "enable": True,
        "iconColor": colour,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "expr": expr,
        "titleFormat": title,
        "step": "5s",
    }


DEPLOYS = annotation(
    "Deploys",
    "purple",
    'count by (function, version) (up{job="functions", function=~"$function"}) unless '
    'count by (function, version) (count_over_time(up{job="functions", function=~"$function"}[6h] offset 1m))',
    "{{function}} {{version}}",
)
SCALINGS = annotation(
    "Scalings",
    "blue",
    'function:drover_instances_asked:max{function=~"$function"} != '
    'function:drover_instances_asked:max{function=~"$function"} offset 5s',
    "{{function}} scaled",
)


def dashboard(uid, title, description, panels, functions=None, annotations=(DEPLOYS, SCALINGS)):
    variables = [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
    if functions:
        query = {"query": 'label_values(drover_gateway_requests_total{function!=""}, function)', "refId": "functions"}
        variables.append(
            {
                "name": "function",
                "label": "Function",
                "type": "query",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "query": query,
                "refresh": 2,
                "sort": 1,
                "multi": functions == "many",
                "includeAll": functions == "many",
                **({"allValue": ".+", "current": {"text": "All", "value": "$__all"}} if functions == "many" else {}),
            }
        )
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["drover"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["drover"], "title": "Drover", "asDropdown": False}],
        "templating": {"list": variables},
        "annotations": {"list": list(annotations)},
        "panels": placed(panels),
    }


def share_left(kind, window):
    """What is left of the errors or slow answers that the promise allows, as if `window` went on for ever."""
    return f'1 - function:drover_{kind}:ratio_rate{window}{{function=~"$function"}} / scalar(drover:{kind}_allowed:ratio)'


def quantiles(metric, selector):
    buckets = f"sum by (le) (rate({metric}_bucket{{{selector}}}[$__rate_interval]))"
    return [(f"histogram_quantile({q}, {buckets})", f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]


def mean(metric, selector, by):
    each = f"sum by ({by}) (rate({metric}_%s{{{selector}}}[$__rate_interval]))"
    return f"{each % 'sum'} / {each % 'count'}"


MANY = 'function=~"$function"'
GATEWAY = "drover_gateway"

OVERVIEW = dashboard(
    "drover-overview",
    "Drover: Overview",
    "All functions: what they answer, how fast, with how many instances, and whether the promise is kept.",
    [
        panel(
            "Requests per minute",
            "Answers of the gateway per minute, by function.",
            "reqpm",
            (f'sum by (function) (rate({GATEWAY}_requests_total{{{MANY}}}[$__rate_interval])) * 60', "{{function}}"),
        ),
        panel(
            "Errors by kind",
            "Answers of 400 or more per minute. Kind `none` is an instance's own answer, any other the gateway's.",
            "reqpm",
            (
                f'sum by (code, kind) (rate({GATEWAY}_requests_total{{{MANY}, code=~"[45].."}}[$__rate_interval])) * 60 > 0',
                "{{code}} {{kind}}",
            ),
            stack=True,
        ),
        panel(
            "Latency",
            "From a request's head to the head of its answer, at the gateway: queue and cold starts included.",
            "s",
            *quantiles(f"{GATEWAY}_first_byte_seconds", MANY),
        ),
        panel(
            "Instances against load",
            "Instances that take requests, that the scheduler was asked for, and that the load wants.",
            "none",
            (f"sum(function:drover_instances_ready:max{{{MANY}}})", "ready"),
            (f"sum(function:drover_instances_asked:max{{{MANY}}})", "asked for"),
            (f"sum(function:drover_instances_wanted:max{{{MANY}}})", "wanted"),
        ),
        panel(
            "Requests inside",
            "Requests that run or wait at this moment, by function: what the number of instances is decided by.",
            "none",
            (f"sum by (function) ({GATEWAY}_in_flight{{{MANY}}})", "{{function}}"),
        ),
        panel(
            "Queue",
            "Requests that wait for a slot. One that is never empty means too few instances.",
            "none",
            (f"sum by (function) ({GATEWAY}_waiting{{{MANY}}})", "{{function}}"),
        ),
        panel(
            "Cold starts by phase",
            "How long the phases of cold starts took, on average: scheduler, process, model, catalog, first answer.",
            "s",
            (mean(f"{GATEWAY}_cold_start_seconds", f'{MANY}, phase!="total"', "phase"), "{{phase}}"),
            stack=True,
        ),
        panel(
            "Cold starts",
            "How often a request found no instance, per minute.",
            "cpm",
            (
                f'sum by (function) (rate({GATEWAY}_cold_start_seconds_count{{{MANY}, phase="total"}}[$__rate_interval])) * 60',
                "{{function}}",
            ),
        ),
        panel(
            "Scalings",
            "Calls that changed how many instances run, per minute, by outcome.",
            "cpm",
            (
                f"sum by (outcome) (rate({GATEWAY}_scalings_total{{{MANY}}}[$__rate_interval])) * 60 or vector(0)",
                "{{outcome}}",
            ),
        ),
        panel(
            "Errors that the promise still allows",
            "The budget of errors that is left after the last three days: 100 % without an error, below 0 the promise "
            "is broken. prometheus/rules/recording.yml says what is promised.",
            "percentunit",
            (share_left("errors", "3d"), "{{function}}"),
            kind="gauge",
            max=1,
            steps=[(None, "red"), (0.25, "orange"), (0.5, "green")],
        ),
        panel(
            "Slow answers that the promise still allows",
            "The same for answers that take longer than half a second.",
            "percentunit",
            (share_left("slow", "3d"), "{{function}}"),
            kind="gauge",
            max=1,
            steps=[(None, "red"), (0.25, "orange"), (0.5, "green")],
        ),
        panel(
            "Alerts",
            "Alerts that wait or fire: how many there are of each.",
            "none",
            ('count by (alertname, alertstate) (ALERTS{alertname=~"Drover.*"}) or vector(0)', "{{alertname}} {{alertstate}}"),
        ),
    ],
    functions="many",
)

ONE = 'function="$function"'
FUNCTION = dashboard(
    "drover-function",
    "Drover: Function",
    "One function: what it says, how sure it is, where the time goes, and what its instances use of their limits.",
    [
        panel(
            "Activity",
            "Answers of the gateway per minute, by status.",
            "reqpm",
            (f"sum by (code) (rate({GATEWAY}_requests_total{{{ONE}}}[$__rate_interval])) * 60 > 0", "{{code}}"),
            stack=True,
        ),
        panel(
            "Classes",
            "Rows per minute by predicted class, such as positive against negative. A shift without a release means "
            "that what is sent has changed.",
            "cpm",
            (f"sum by (class) (rate(drover_predictions_total{{{ONE}}}[$__rate_interval])) * 60", "{{class}}"),
            stack=True,
        ),
        panel(
            "Confidence",
            "How sure the model is of the class that it predicts, rows by bucket. Sinking confidence comes before wrong "
            "answers.",
            "percentunit",
            (f"sum by (le) (increase(drover_confidence_bucket{{{ONE}}}[$__rate_interval]))", "{{le}}"),
            kind="heatmap",
        ),
        panel(
            "Drift",
            "How far inputs and predictions are from the training data: the population stability index of each, at the "
            "instance that is farthest. Below 0.1 little has changed, above 0.25 much.",
            "none",
            (f"max by (of, field) (drover_drift_psi{{{ONE}}})", "{{of}} {{field}}"),
        ),
        panel(
            "Agreement with users",
            "The share of the answers of the last seven days, among those with a verdict, that users said were right, by "
            "version of the model.",
            "percentunit",
            (f"max by (version) (drover_feedback_agreement{{{ONE}}})", "agreement, model {{version}}"),
            max=1,
        ),
        panel(
            "Verdicts",
            "What users said of answers, per hour.",
            "none",
            (
                f"sum by (verdict) (rate(drover_feedback_verdicts_total{{{ONE}}}[$__rate_interval])) * 3600",
                "{{verdict}}",
            ),
            stack=True,
        ),
        panel(
            "Where the time goes",
            "The average request: wait for a slot at the gateway (cold starts included), wait for a batch in the "
            "instance, inference.",
            "s",
            (mean(f"{GATEWAY}_queue_seconds", ONE, "function"), "queue"),
            (mean("drover_queue_wait_seconds", ONE, "function"), "batch"),
            (mean("drover_inference_duration_seconds", ONE, "function"), "inference"),
            stack=True,
        ),
        panel(
            "Latency",
            "From a request's head to the head of its answer, at the gateway.",
            "s",
            *quantiles(f"{GATEWAY}_first_byte_seconds", ONE),
        ),
        panel(
            "Errors by kind",
            "Answers of 400 or more per minute. Kind `none` is an instance's own answer, any other the gateway's.",
            "reqpm",
            (
                f'sum by (code, kind) (rate({GATEWAY}_requests_total{{{ONE}, code=~"[45].."}}[$__rate_interval])) * 60 > 0',
                "{{code}} {{kind}}",
            ),
            stack=True,
        ),
        panel(
            "Instances",
            "Instances that take requests, that the scheduler was asked for, and that the load wants.",
            "none",
            (f"function:drover_instances_ready:max{{{ONE}}}", "ready"),
            (f"function:drover_instances_asked:max{{{ONE}}}", "asked for"),
            (f"function:drover_instances_wanted:max{{{ONE}}}", "wanted"),
        ),
        panel(
            "Slots",
            "Requests inside the instances, and the most that they take at once.",
            "none",
            (f"sum(drover_in_flight{{{ONE}}})", "inside"),
            (f"sum(drover_slots{{{ONE}}})", "slots"),
            (f"sum({GATEWAY}_waiting{{{ONE}}})", "queue"),
        ),
        panel(
            "Batches",
            "Rows in one call of the model. More than one means that requests wait for each other and share a call.",
            "none",
            (mean("drover_batch_rows", ONE, "function"), "mean"),
            (f"histogram_quantile(0.95, sum by (le) (rate(drover_batch_rows_bucket{{{ONE}}}[$__rate_interval])))", "p95"),
        ),
        panel(
            "CPU against its limit",
            "Cores that each instance uses, as a share of what it may use.",
            "percentunit",
            (
                f"rate(process_cpu_seconds_total{{{ONE}}}[$__rate_interval]) / drover_cpu_limit_cores",
                "{{instance}} on {{node}}",
            ),
        ),
        panel(
            "Throttled",
            "The share of periods in which an instance had used up its CPU before the end. It makes answers late even "
            "where the CPU in use looks low.",
            "percentunit",
            (
                f"rate(drover_cpu_throttled_periods_total{{{ONE}}}[$__rate_interval]) "
                f"/ rate(drover_cpu_periods_total{{{ONE}}}[$__rate_interval]) >= 0",
                "{{instance}} on {{node}}",
            ),
        ),
        panel(
            "Memory against its limit",
            "Resident memory of each instance, as a share of what it may use. At 100 % it is killed.",
            "percentunit",
            (f"process_resident_memory_bytes{{{ONE}}} / drover_memory_limit_bytes", "{{instance}} on {{node}}"),
        ),
        panel(
            "Versions",
            "Instances by the version of their service and of their model.",
            "none",
            (f"count by (version) (drover_model_info{{{ONE}}})", "service {{version}}"),
            (f"count by (model_version) (drover_model_info{{{ONE}}})", "model {{model_version}}"),
        ),
        panel(
            "Instances taken out",
            "Instances that the gateway took out of service, and requests that it sent again, per minute, with the reason.",
            "cpm",
            (f"sum by (why) (rate({GATEWAY}_ejections_total{{{ONE}}}[$__rate_interval])) * 60 or vector(0)", "out {{why}}"),
            (f"sum by (why) (rate({GATEWAY}_retries_total{{{ONE}}}[$__rate_interval])) * 60 or vector(0)", "again {{why}}"),
        ),
        panel(
            "Restarts and panics",
            "How often an instance's process was started anew in the last quarter of an hour, and panics of the model that "
            "were caught.",
            "none",
            (f"sum(changes(process_start_time_seconds{{{ONE}}}[15m]))", "restarts"),
            (f"sum(increase(drover_panics_total{{{ONE}}}[15m]))", "panics"),
        ),
    ],
    functions="one",
)

LOAD = dashboard(
    "drover-load",
    "Drover: Load test",
    "A running loadgen laid over the instances that answer it.",
    [
        panel(
            "Users and rate",
            "Users that run, and requests that ended each second.",
            "none",
            ("loadgen_users", "users"),
            ("loadgen_rate", "requests/s"),
            ("loadgen_failure_rate", "failures/s"),
        ),
        panel(
            "Latency as the users see it",
            "Of the last second's answers, from the moment a request was due.",
            "s",
            ("loadgen_current_latency_seconds", "p{{percentile}}"),
        ),
        panel(
            "Latency at the gateway",
            "From a request's head to the head of its answer. What the users see beyond it is network, connections or a "
            "generator that is late.",
            "s",
            *quantiles(f"{GATEWAY}_first_byte_seconds", MANY),
        ),
        panel(
            "Instances against load",
            "Instances that take requests, over the requests that run or wait.",
            "none",
            (f"sum(function:drover_instances_ready:max{{{MANY}}})", "instances"),
            (f"sum({GATEWAY}_in_flight{{{MANY}}})", "requests inside"),
            (f"sum({GATEWAY}_waiting{{{MANY}}})", "of these in the queue"),
        ),
        panel(
            "CPU of the instances",
            "Cores that all instances use, and may use.",
            "none",
            (f"sum(rate(process_cpu_seconds_total{{{MANY}}}[$__rate_interval]))", "in use"),
            (f"sum(drover_cpu_limit_cores{{{MANY}}})", "limit"),
        ),
        panel(
            "Memory of the instances",
            "Resident memory of all instances, and their limit.",
            "bytes",
            (f"sum(process_resident_memory_bytes{{{MANY}}})", "in use"),
            (f"sum(drover_memory_limit_bytes{{{MANY}}})", "limit"),
        ),
        panel(
            "Can the figures be believed?",
            "The generator's CPU of one core, and the share of requests that it sent late. Much of either, and the run "
            "measures the generator.",
            "percentunit",
            ("loadgen_generator_cpu_ratio", "CPU"),
            ("sum(loadgen_late_total) / sum(loadgen_requests_total)", "late"),
        ),
        panel(
            "Requests and failures",
            "Since the run's beginning, by task.",
            "none",
            ("sum by (task) (loadgen_requests_total)", "{{task}}"),
            ("sum by (task, kind) (loadgen_failures_total) or vector(0)", "failed: {{task}} {{kind}}"),
        ),
        panel(
            "Promises",
            "1 while a promise is kept, 0 when it is broken.",
            "bool_yes_no",
            ("loadgen_promise_kept", "{{promise}} {{task}}"),
            kind="stat",
            max=1,
            steps=[(None, "red"), (1, "green")],
        ),
    ],
    functions="many",
)

READY = 'node_status="ready"'
CLUSTER = dashboard(
    "drover-cluster",
    "Drover: Cluster",
    "The machines, Nomad and Consul under the functions.",
    [
        panel(
            "Allocations by job",
            "Allocations that run, by Nomad's job: functions and what is around them.",
            "none",
            ("sum by (exported_job) (nomad_nomad_job_summary_running)", "{{exported_job}}"),
            stack=True,
        ),
        panel(
            "No place",
            "Evaluations that wait for room, and allocations that wait to start.",
            "none",
            ("max(nomad_nomad_blocked_evals_total_blocked)", "blocked evaluations"),
            ("sum(nomad_client_allocations_pending{%s})" % READY, "pending allocations"),
        ),
        panel(
            "Allocations by node",
            "Allocations that run on each node.",
            "none",
            ("sum by (node) (nomad_client_allocations_running{%s})" % READY, "{{node}}"),
            stack=True,
        ),
        panel(
            "CPU of nodes",
            "CPU in use, as a share of all cores of the node.",
            "percentunit",
            ("avg by (node) (nomad_client_host_cpu_total_percent{%s}) / 100" % READY, "{{node}}"),
            max=1,
        ),
        panel(
            "Memory of nodes",
            "Memory in use, as a share of what the node has.",
            "percentunit",
            (
                "sum by (node) (nomad_client_host_memory_used{%s}) / sum by (node) (nomad_client_host_memory_total{%s})"
                % (READY, READY),
                "{{node}}",
            ),
            max=1,
        ),
        panel(
            "Disks of nodes",
            "Space in use, as a share of each disk.",
            "percentunit",
            (
                "max by (node, disk) (nomad_client_host_disk_used{%s} / nomad_client_host_disk_size)" % READY,
                "{{node}} {{disk}}",
            ),
            max=1,
        ),
        panel(
            "CPU promised",
            "CPU that jobs have asked for, as a share of what the node has to give. At 100 % nothing more is placed.",
            "percentunit",
            (
                "sum by (node) (nomad_client_allocated_cpu{%s}) / "
                "(sum by (node) (nomad_client_allocated_cpu{%s}) + sum by (node) (nomad_client_unallocated_cpu{%s}))"
                % (READY, READY, READY),
                "{{node}}",
            ),
            max=1,
        ),
        panel(
            "Memory promised",
            "Memory that jobs have asked for, as a share of what the node has to give. At 100 % nothing more is placed.",
            "percentunit",
            (
                "sum by (node) (nomad_client_allocated_memory{%s}) / "
                "(sum by (node) (nomad_client_allocated_memory{%s}) + sum by (node) (nomad_client_unallocated_memory{%s}))"
                % (READY, READY, READY),
                "{{node}}",
            ),
            max=1,
        ),
        panel(
            "Who answers",
            "Instances, gateways and servers that Prometheus reaches, by job.",
            "none",
            ("sum by (job) (up)", "{{job}}"),
        ),
        panel(
            "Nodes",
            "Nodes that send heartbeats to the server that leads. Nothing here means that none leads.",
            "none",
            ("max(nomad_nomad_heartbeat_active)", "nodes"),
        ),
        panel(
            "Consul",
            "1 while enough servers are healthy; and how many more may fail.",
            "none",
            ("min(consul_autopilot_healthy)", "healthy"),
            ("min(consul_autopilot_failure_tolerance)", "may fail"),
        ),
        panel(
            "Memory of Nomad and Consul",
            "What the agents hold.",
            "bytes",
            ("sum by (node) (nomad_runtime_alloc_bytes)", "Nomad {{node}}"),
            ("sum by (node) (consul_runtime_alloc_bytes)", "Consul {{node}}"),
        ),
    ],
    annotations=(),
)


def seconds(text):
    """Reads a duration such as 1m."""
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def alert(rule):
    """A rule of Prometheus as one of Grafana, which fires for whatever the expression returns, also where that is 0."""
    source = {"type": "prometheus", "uid": PROMETHEUS}
    query = {"refId": "A", "expr": rule["expr"].strip(), "instant": True, "datasource": source}
    condition = {
        "refId": "B",
        "type": "math",
        "expression": "is_number($A) || is_inf($A)",
        "datasource": {"type": "__expr__", "uid": "__expr__"},
    }
    texts = {name: re.sub(r"\$value\b", "$values.A.Value", text) for name, text in rule["annotations"].items()}
    return {
        "uid": re.sub(r"(?<!^)([A-Z])", r"-\1", rule["alert"]).lower(),
        "title": rule["alert"],
        "condition": "B",
        "for": rule.get("for", "0s"),
        "labels": rule["labels"],
        "annotations": texts,
        # Nothing is what an expression of an alert returns while all is well.
        "noDataState": "OK",
        "execErrState": "Error",
        "data": [
            {"refId": "A", "datasourceUid": PROMETHEUS, "relativeTimeRange": {"from": 600, "to": 0}, "model": query},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": condition},
        ],
    }


def alerts():
    groups = yaml.safe_load((HERE / "prometheus/rules/alerts.yml").read_text())["groups"]
    named = [
        {"orgId": 1, "name": group["name"], "folder": "Drover", "interval": "10s", "rules": [alert(r) for r in group["rules"]]}
        for group in groups
    ]
    return {"apiVersion": 1, "groups": named}


def main():
    files = {f"dashboards/{one['uid'].removeprefix('drover-')}.json": one for one in (OVERVIEW, FUNCTION, LOAD, CLUSTER)}
    files["provisioning/alerting/drover.json"] = alerts()
    stale = []
    for name, content in files.items():
        path, text = HERE / name, json.dumps(content, indent=1) + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    if "--check" in sys.argv and stale:
        sys.exit(f"not as grafana/make.py writes them: {', '.join(stale)}")


if __name__ == "__main__":
    main()
