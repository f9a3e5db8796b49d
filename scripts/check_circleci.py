#!/usr/bin/python3
"""Checks .circleci/config.yml for what neither CircleCI's schema nor its parser finds.

  scripts/check_circleci.py [FILE]

Names that lead nowhere (jobs, commands, executors, parameters, requires), wrong parameters, images without an exact tag,
secrets in plain text, steps that are not a make target or a script of the repository, and rollouts that do not wait for
security, for a person's approval, for their turn, or for their own rights. What a job does is told from what it runs, not
from its name. Prints one line a problem; exit code 1 if there is any.
"""
from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parent.parent
BUILT_IN = {
    "run", "checkout", "save_cache", "restore_cache", "store_artifacts", "store_test_results", "persist_to_workspace",
    "attach_workspace", "setup_remote_docker", "add_ssh_keys", "when", "unless",
}
# What a workflow may say about a job besides the job's own parameters.
OF_WORKFLOW = {"requires", "context", "filters", "name", "type", "matrix", "pre-steps", "post-steps", "serial-group",
               "override-with"}
RESTRICTED_CONTEXT = "payflow-production"  # the rights to change production
ON_MAIN = {"equal": ["main", "<< pipeline.git.branch >>"]}
ENVIRONMENTS = ("development", "staging", "production")
ROLLS_OUT = re.compile(r"scripts/ci/deploy\.sh\b|deploy/rollout\b|scripts/ci/terraform\.sh apply\b")
SECURES = re.compile(r"\bmake security(?!-)\b")
TELLS = re.compile(r"scripts/ci/notify\.py failed\b")
EXACT_IMAGE = re.compile(r"^[\w./-]+(:\d+)?[\w./-]*:[\w.-]*\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$")
EXACT_MACHINE = re.compile(r"^[\w-]+:\d{4}\.\d{2}\.\d+$")
MOVING_TAG = re.compile(r":(latest|current|previous|edge|default|stable|lts)\b")
SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abpr]-[\w-]{10,}|ya29\.[\w-]{20,}|AIza[\w-]{35}"
    r"|hooks\.slack\.com/services/\w|-----BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{20,}\.[\w-]{10,}|://[^/\s:@<$]+:[^/\s@<$]+@")
SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|WEBHOOK|CREDENTIALS?)(_URL)?$", re.IGNORECASE)
SECRET_IN_COMMAND = re.compile(
    r"(?i)\b[\w-]*(password|passwd|secret|token|api[_-]?key|webhook)[\w-]*[=\s]+['\"]?(?![$<'\"\s-])[\w/+.-]{8,}")
PLACEHOLDER = re.compile(r"<<\s*([^>]*?)\s*>>")


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: YAML would keep the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"the key {key.value} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string below a value, with the way to it."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from strings(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from strings(below, f"{path}[{number}]")
    elif isinstance(value, str):
        yield path, value


@dataclass
class Use:
    """A job as one workflow uses it."""
    name: str
    job: str
    options: dict[str, Any]
    requires: list[str] = field(default_factory=list)

    @property
    def approval(self) -> bool:
        return self.options.get("type") == "approval"

    @property
    def contexts(self) -> list[str]:
        context = self.options.get("context") or []
        return [context] if isinstance(context, str) else context


class Checker:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.problems: list[str] = []
        self.jobs = config.get("jobs") or {}
        self.commands = config.get("commands") or {}
        self.executors = config.get("executors") or {}

    def problem(self, where: str, sentence: str) -> None:
        self.problems.append(f"{where}: {sentence}")

    def check(self) -> list[str]:
        for kind, things in (("jobs", self.jobs), ("commands", self.commands), ("executors", self.executors)):
            for name, thing in things.items():
                self.check_placeholders(f"{kind}.{name}", thing)
        for name, job in self.jobs.items():
            self.check_executor(f"jobs.{name}", job)
            self.check_steps(f"jobs.{name}", job.get("steps", []))
        for name, command in self.commands.items():
            self.check_steps(f"commands.{name}", command.get("steps", []))
        for kind in ("jobs", "executors"):
            for name, thing in (self.config.get(kind) or {}).items():
                self.check_images(f"{kind}.{name}", thing)
        self.check_secrets()
        for name, workflow in (self.config.get("workflows") or {}).items():
            if isinstance(workflow, dict):
                self.check_workflow(name, workflow)
        return self.problems

    # --- names and parameters -----------------------------------------------------------------------------------------

    def check_placeholders(self, where: str, thing: dict[str, Any]) -> None:
        known = set(thing.get("parameters") or {})
        for path, text in strings({k: v for k, v in thing.items() if k != "parameters"}):
            for name in PLACEHOLDER.findall(text):
                self.check_placeholder(f"{where}.{path}", name, known)

    def check_placeholder(self, where: str, name: str, known: set[str]) -> None:
        group, _, rest = name.partition(".")
        if group == "parameters" and rest not in known:
            self.problem(where, f"<< {name} >>: no parameter is named {rest}")
        elif name.startswith("pipeline.parameters."):
            if name.removeprefix("pipeline.parameters.") not in (self.config.get("parameters") or {}):
                self.problem(where, f"<< {name} >>: the pipeline has no such parameter")
        elif group not in ("parameters", "pipeline", "matrix"):
            self.problem(where, f"<< {name} >> is nothing that CircleCI fills in")

    def check_arguments(self, where: str, what: str, declared: dict[str, Any], given: dict[str, Any]) -> None:
        for name, value in given.items():
            if name not in declared:
                self.problem(where, f"{what} has no parameter {name}")
            elif not (isinstance(value, str) and PLACEHOLDER.search(value)):
                self.check_type(where, f"{what}'s parameter {name}", declared[name] or {}, value)
        for name, parameter in declared.items():
            if name not in given and "default" not in (parameter or {}):
                self.problem(where, f"{what} needs the parameter {name}")

    def check_type(self, where: str, what: str, parameter: dict[str, Any], value: Any) -> None:
        kind = parameter.get("type")
        well = {
            "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "string": isinstance(value, str),
            "enum": value in parameter.get("enum", []),
        }.get(str(kind), True)
        if not well:
            self.problem(where, f"{what} must be {'one of ' + str(parameter.get('enum')) if kind == 'enum' else kind}, not {value!r}")

    def check_executor(self, where: str, job: dict[str, Any]) -> None:
        executor = job.get("executor")
        if executor is None:
            if not {"docker", "machine", "macos"} & set(job):
                self.problem(where, "says not where it runs")
            return
        name, given = (executor, {}) if isinstance(executor, str) else (executor.get("name"), dict(executor))
        given.pop("name", None)
        if name not in self.executors:
            self.problem(where, f"no executor is named {name}")
        else:
            self.check_arguments(where, f"the executor {name}", self.executors[name].get("parameters") or {}, given)

    # --- steps --------------------------------------------------------------------------------------------------------

    def check_steps(self, where: str, steps: list[Any]) -> None:
        for number, step in enumerate(steps):
            here = f"{where}.steps[{number}]"
            name, given = (step, {}) if isinstance(step, str) else next(iter(step.items()))
            if name in ("when", "unless"):
                self.check_steps(f"{here}.{name}", (given or {}).get("steps", []))
            elif name == "run":
                self.check_run(here, given if isinstance(given, str) else (given or {}).get("command", ""))
            elif name in self.commands:
                self.check_arguments(here, f"the command {name}", self.commands[name].get("parameters") or {}, given or {})
            elif name not in BUILT_IN:
                self.problem(here, f"no command is named {name}")

    def check_run(self, where: str, command: str) -> None:
        """A step calls one make target or one script of the repository; a laptop can do the same."""
        words = command.split()
        if len(command.strip().splitlines()) != 1:
            self.problem(where, "runs more than one line; put it into a script or a make target")
        elif words[0] == "make":
            if not re.search(rf"^{re.escape(words[1] if len(words) > 1 else '')}:", (TOP / "Makefile").read_text(), re.MULTILINE):
                self.problem(where, f"the Makefile has no target {' '.join(words[1:2]) or '(none named)'}")
        elif not words[0].startswith(("scripts/", "deploy/")):
            self.problem(where, f"runs {words[0]}, which is neither make nor a script of the repository")
        elif not (TOP / words[0]).is_file():
            self.problem(where, f"{words[0]} is not in the repository")
        elif not (TOP / words[0]).stat().st_mode & 0o100:
            self.problem(where, f"{words[0]} is not executable")

    def runs(self, name: str, given: dict[str, Any]) -> list[str]:
        """All that a job runs, its commands' steps and its parameters filled in."""
        return list(self.expand(self.jobs.get(name, {}).get("steps", []), given, self.jobs.get(name, {}).get("parameters")))

    def expand(self, steps: list[Any], given: dict[str, Any], declared: dict[str, Any] | None, depth: int = 0) -> Iterator[str]:
        values = {name: (parameter or {}).get("default", "") for name, parameter in (declared or {}).items()} | given

        def fill(value: Any) -> Any:
            return PLACEHOLDER.sub(lambda m: str(values.get(m[1].removeprefix("parameters."), m[0])), value) \
                if isinstance(value, str) else value

        for step in steps if depth < 10 else []:
            name, options = (step, {}) if isinstance(step, str) else next(iter(step.items()))
            if name == "run":
                yield fill(options if isinstance(options, str) else (options or {}).get("command", ""))
            elif name in ("when", "unless"):
                yield from self.expand((options or {}).get("steps", []), values, declared, depth + 1)
            elif name in self.commands:
                yield from self.expand(self.commands[name].get("steps", []), {k: fill(v) for k, v in (options or {}).items()},
                                       self.commands[name].get("parameters"), depth + 1)

    # --- images and secrets -------------------------------------------------------------------------------------------

    def check_images(self, where: str, thing: dict[str, Any]) -> None:
        for image in thing.get("docker") or []:
            name = str(image.get("image", ""))
            if not EXACT_IMAGE.search(name) or MOVING_TAG.search(name):
                self.problem(where, f"the image {name} has no exact tag")
        machine = thing.get("machine")
        if machine is not None:
            name = str(machine.get("image", "")) if isinstance(machine, dict) else str(machine)
            if not EXACT_MACHINE.search(name):
                self.problem(where, f"the machine image {name} has no exact tag")

    def check_secrets(self) -> None:
        for path, text in strings(self.config):
            name = path.rpartition(".")[2]
            if SECRET_VALUE.search(text) or SECRET_IN_COMMAND.search(text):
                self.problem(path, "this looks like a secret in plain text; secrets live in contexts")
            elif SECRET_NAME.search(name) and ".environment." in f".{path}" and text and not PLACEHOLDER.fullmatch(text):
                self.problem(path, f"{name} has its value in plain text; secrets live in contexts")

    # --- workflows ----------------------------------------------------------------------------------------------------

    def check_workflow(self, workflow: str, body: dict[str, Any]) -> None:
        uses: dict[str, Use] = {}
        for entry in body.get("jobs") or []:
            job, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            options = options or {}
            use = Use(options.get("name", job), job, options)
            use.requires = [r if isinstance(r, str) else next(iter(r)) for r in options.get("requires") or []]
            where = f"workflows.{workflow}.{use.name}"
            if use.name in uses:
                self.problem(where, "two jobs have this name")
            uses[use.name] = use
            self.check_use(where, use)
        for use in uses.values():
            for name in use.requires:
                if name not in uses:
                    self.problem(f"workflows.{workflow}.{use.name}", f"requires {name}, which is no job of this workflow")
        for path, text in strings(body, f"workflows.{workflow}"):
            for name in PLACEHOLDER.findall(text):
                self.check_placeholder(path, name, set())
        for use in uses.values():
            where, earlier = f"workflows.{workflow}.{use.name}", self.before(use, uses)
            if use in earlier:
                self.problem(where, "waits for itself")
            if RESTRICTED_CONTEXT in use.contexts and not any(u.approval for u in earlier):
                self.problem(where, f"has the context {RESTRICTED_CONTEXT} without an approval before it")
            self.check_rollout(where, use, earlier, body)

    def check_use(self, where: str, use: Use) -> None:
        kind = use.options.get("type")
        if kind not in (None, "approval", "no-op"):
            self.problem(where, f"type {kind}: the only one we use is approval")
        if kind:
            return
        if use.job not in self.jobs:
            self.problem(where, f"no job is named {use.job}")
            return
        given = {k: v for k, v in use.options.items() if k not in OF_WORKFLOW}
        given |= (use.options.get("matrix") or {}).get("parameters", {})
        self.check_arguments(where, f"the job {use.job}", self.jobs[use.job].get("parameters") or {}, given)

    def before(self, use: Use, uses: dict[str, Use]) -> list[Use]:
        """All that must have ended well before this job starts. A job required in another status does not count."""
        strict = {name: [r for r in u.options.get("requires") or [] if isinstance(r, str)] for name, u in uses.items()}
        seen: dict[str, Use] = {}
        waiting = list(strict[use.name])
        while waiting:
            name = waiting.pop()
            if name in uses and name not in seen:
                seen[name] = uses[name]
                waiting += strict[name]
        return list(seen.values())

    def check_rollout(self, where: str, use: Use, earlier: list[Use], workflow: dict[str, Any]) -> None:
        commands = self.runs(use.job, use.options)
        environments = {e for command in commands if ROLLS_OUT.search(command) for e in ENVIRONMENTS if e in command.split()}
        if not any(ROLLS_OUT.search(command) for command in commands):
            return
        if len(environments) != 1:
            self.problem(where, f"rolls out to {sorted(environments) or 'no environment that can be told'}; one is wanted")
            return
        environment = environments.pop()
        if not any(SECURES.search(command) for u in earlier for command in self.runs(u.job, u.options)):
            self.problem(where, "rolls out without waiting for make security")
        if environment == "production" and not any(u.approval for u in earlier):
            self.problem(where, "rolls out to production without waiting for an approval")
        group = str(use.options.get("serial-group", ""))
        if environment not in group:
            self.problem(where, f"rolls out to {environment} without a serial-group of its own")
        rights = [name for name in use.contexts if any(e in name for e in ENVIRONMENTS)]
        if rights != [f"payflow-{environment}"]:
            self.problem(where, f"must have the context payflow-{environment} and no other environment's, not {rights}")
        if not any(TELLS.search(command) for command in commands):
            self.problem(where, "tells nobody when it fails")
        if ON_MAIN not in self.only_when(workflow):
            self.problem(where, "rolls out on other branches than main")

    @staticmethod
    def only_when(workflow: dict[str, Any]) -> list[Any]:
        """The conditions that must all hold for a workflow to run; a negated or optional one is no guard."""
        when = workflow.get("when") or {}
        return when.get("and", [when]) if isinstance(when, dict) else []


def check_text(text: str) -> list[str]:
    try:
        config = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        return [f"not YAML as we want it: {' '.join(str(error).split())}"]
    if not isinstance(config, dict):
        return ["the file holds no mapping"]
    return Checker(config).check()


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / ".circleci" / "config.yml"
    problems = check_text(path.read_text())
    for problem in problems:
        print(f"{path.name}: {problem}")
    if not problems:
        print(f"{path.name}: no problem found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
