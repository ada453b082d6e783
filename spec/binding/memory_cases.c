/*
** memory_cases.c - see memory_cases.h.
*/
#include "memory_cases.h"

#include <stddef.h>

const char memory_prelude[] =
  "JobTracker, null = job_tracker.JobTracker, job_tracker.null\n"
  "path, other = folder .. '/jobs', folder .. '/other'\n"
  "JobTracker.open(path, { size = '4M' }).close()\n"
  "long = ('a long text; '):rep(4000)\n"
  "value = { list = { 1, 2.5, 1/3, true, null, {} }, text = 'h\\195\\169 \"\\\\ \\n',\n"
  "  ['a\\0b'] = 'c\\0d', long = long }\n"
  "full = { status = 'failed', progress = 1/3, current_step = 'Schritt \\195\\188',\n"
  "  result = value, error = 'bad \\255 byte', meta = { 1, { 2 } } }\n"
  "function new(fields)\n"
  "  local id = assert(tracker.create_job('memory'))\n"
  "  if fields then assert(tracker.update_job(id, fields)) end\n"
  "  return id\n"
  "end\n"
  "function refused(call, ...)\n"   /* the message of an error that is expected */
  "  local ok, message = pcall(call, ...)\n"
  "  if ok or message:find('not enough memory', 1, true) then\n"
  "    error(message, 0)\n"
  "  end\n"
  "  return message\n"
  "end\n"
  "function state()\n"
  "  local now, all = tracker.stats(), {}\n"
  "  for _, name in ipairs { 'version', 'jobs_used', 'bytes_used', 'pending',\n"
  "      'running', 'completed', 'failed', 'evictions', 'damaged' } do\n"
  "    all[#all + 1] = name .. '=' .. now[name]\n"
  "  end\n"
  "  return table.concat(all, ' ')\n"
  "end\n"
  "function use()\n"               /* the store still does what it is for */
  "  local probe = assert(tracker.create_job('probe'))\n"
  "  assert(tracker.update_job(probe, { status = 'running', meta = { 7 } }))\n"
  "  assert(tracker.get_job(probe).meta[1] == 7)\n"
  "  assert(tracker.delete_job(probe))\n"
  "end\n";

#define FIELD(name, condition) \
  { "job." name, "job = tracker.get_job(new(full))", "return job." name, \
    "local value = ... return " condition }

const call_case memory_cases[] = {
  { "create_job", "tracker.clear_jobs()", "return tracker.create_job('memory')",
    "return tracker.get_job(...).status == 'pending' and "
    "tracker.stats().jobs_used == 1" },
  { "update_job of numbers", "id = new()",
    "return tracker.update_job(id, { progress = 0.5, status = 'running' })",
    "return tracker.get_job(id).progress == 0.5" },
  { "update_job of texts", "id = new()",
    "return tracker.update_job(id, { current_step = long:sub(1, 4096), "
    "error = long })",
    "local job = tracker.get_job(id) return job.error == long" },
  { "update_job of everything", "id = new()",
    "return tracker.update_job(id, full)",
    "local job = tracker.get_job(id) return job.result['a\\0b'] == 'c\\0d' and "
    "job.result.list[3] == 1/3 and job.meta[2][1] == 2 and #job.error == 10" },
  { "update_job that clears", "id = new(full)",
    "return tracker.update_job(id, { result = null, error = null, meta = null })",
    "local job = tracker.get_job(id) return not (job.result or job.error)" },
  { "update_job of an unknown job", "",
    "return tracker.update_job('none_00000000', full)",
    "local ok, message, code = ... return not ok and code == 'not_found'" },
  { "update_job against the lifecycle", "id = new(full)",
    "return tracker.update_job(id, { status = 'running', result = value })",
    "local ok, message, code = ... return code == 'invalid_transition'" },
  { "update_job of a bad value", "id = new()",
    "return refused(tracker.update_job, id, { result = { a = { {}, value, "
    "{ [long] = print } } } })",
    "return (...):find('result.a[3]', 1, true)" },
  { "update_job of a bad key", "id = new()",
    "return refused(tracker.update_job, id, { meta = { [1] = 1, x = 2 } })",
    "return (...):find('meta: keys', 1, true)" },
  { "update_job of an unknown field", "id = new()",
    "return refused(tracker.update_job, id, { x = 1 })",
    "return (...):find('unknown field \"x\"', 1, true)" },
  { "get_job", "id = new()", "return tracker.get_job(id)",
    "return (...).task_id == id" },
  { "get_job of a large job", "id = new(full)", "return tracker.get_job(id)",
    "return (...).result.long == long" },
  { "get_job of an unknown job", "", "return tracker.get_job('none_00000000')",
    "return ... == nil" },
  FIELD("task_id", "value:find('^memory_%x+$')"),
  FIELD("task_type", "value == 'memory'"),
  FIELD("status", "value == 'failed'"),
  FIELD("progress", "value == 1/3"),
  FIELD("current_step", "value == full.current_step"),
  FIELD("result", "value['a\\0b'] == 'c\\0d' and value.long == long"),
  FIELD("error", "value == full.error"),
  FIELD("meta", "value[2][1] == 2"),
  FIELD("cancel_requested", "value == nil"),
  FIELD("created_at", "#value == 27"),
  FIELD("updated_at", "#value == 27"),
  FIELD("started_at", "value == nil"),
  FIELD("finished_at", "#value == 27"),
  FIELD("version", "value == tracker.stats().version"),
  { "to_dict", "job = tracker.get_job(new(full))", "return job:to_dict(null)",
    "return (...).result.long == long and (...).started_at == null" },
  { "to_json", "job = tracker.get_job(new(full))", "return job:to_json()",
    "return (...):find(long, 1, true) and (...):find('\\239\\191\\189', 1, true)" },
  { "tostring", "job = tracker.get_job(new(full))", "return tostring(job)",
    "return (...):find('failed 33%', 1, true)" },
  { "==", "id = new() job = tracker.get_job(id)",
    "return job == tracker.get_job(id)", "return ..." },
  { "an assignment to a job", "job = tracker.get_job(new())",
    "return refused(function() job.progress = 1 end)",
    "return (...):find('read-only', 1, true)" },
  { "list_jobs", "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_jobs()",
    "return #... == 9 and (...)[1].result.long == long" },
  { "list_jobs with a filter",
    "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_jobs{ status = 'pending', task_type = 'memory', "
    "limit = 3 }", "return #... == 3" },
  { "list_jobs by pages", "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_jobs{ limit = 5 }",
    "local jobs, after = ... local more, none = tracker.list_jobs{ before = after }\n"
    "return #jobs == 5 and #more == 4 and none == nil" },
  { "list_changes", "tracker.clear_jobs() from = tracker.version()\n"
    "for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_changes(from)",
    "local jobs, version = ... return #jobs == 9 and jobs[9].result.long == long and "
    "version == tracker.version()" },
  { "list_changes with a limit", "from = tracker.version() new() new(full)",
    "return tracker.list_changes(from, { limit = 1 })",
    "local jobs, version = ... return #jobs == 1 and version < tracker.version()" },
  { "version", "new()", "return tracker.version()",
    "local version, dead = ... return version == tracker.stats().version and dead == 0" },
  { "list_jobs with a bad option", "",
    "return refused(tracker.list_jobs, { limits = 3 })",
    "return (...):find('unknown option', 1, true)" },
  { "wait_job", "id = new(full)", "return tracker.wait_job(id)",
    "return (...).status == 'failed'" },
  { "wait_job after a version", "id = new()",
    "return tracker.wait_job(id, { after = 0, timeout = 1 })",
    "return (...).status == 'pending'" },
  { "wait_job until its time is over", "id = new()",
    "return tracker.wait_job(id, { timeout = 0 })",
    "local job, message, code = ... return code == 'timeout'" },
  { "wait_job met by a signal", "id = new() alarm_soon()",
    "return tracker.wait_job(id, { timeout = 0.02 })",
    "local job, message, code = ... return code == 'timeout'" },
  { "get_json", "id = new()", "return tracker.get_json(id)",
    "local text, version = ... return text:find(id, 1, true) and "
    "version == tracker.stats().version" },
  { "get_json of a large job", "id = new(full)", "return tracker.get_json(id)",
    "return (...):find(long, 1, true)" },
  { "get_json of an unknown job", "", "return tracker.get_json('none_00000000')",
    "return ... == nil" },
  { "stats", "new()", "return tracker.stats()", "return (...).jobs_used > 0" },
  { "summary", "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end "
    "tracker.create_job('a')", "return tracker.summary()",
    "local types, bounds = ... return #types == 2 and types[1].task_type == 'a' and "
    "types[2].failed == 4 and types[2].within[#bounds] == 4" },
  { "summary of many types",
    "tracker.clear_jobs() for i = 1, 120 do tracker.create_job('type' .. i) end",
    "return tracker.summary()",
    "return #... == 101 and (...)[101].pending == 20" },
  { "open of a new file", "os.remove(other)",
    "return tracker.open(other, { size = '256K' })",
    "return (...).create_job('x') and ((...).close() or true)" },
  { "open of a file",
    "os.remove(other) JobTracker.open(other, { size = '256K' }).close()",
    "return tracker.open(other, { mode = '0640', retention = 5 })",
    "return (...).create_job('x') and ((...).close() or true)" },
  { "open read-only", "", "return tracker.open(path, { readonly = true })",
    "local job, message, code = (...).create_job('x'); (...).close()\n"
    "return code == 'readonly'" },
  { "open of no file", "", "return tracker.open('/nowhere/at/all')",
    "local opened, message, code = ... return code == 'io'" },
  { "tostring of a tracker", "", "return tostring(tracker)",
    "return (...):find('^JobTracker')" },
  { "configure", "", "return tracker.configure({ retention = 1000 })",
    "return ..." },
  { "configure of another size", "new()",
    "return tracker.configure({ size = '123M' })",
    "local ok, message, code = ... return code == 'in_use'" },
  { "close", "opened = JobTracker.open(path)", "opened.close() return true",
    "return not pcall(opened.stats)" },
  { "claim_job", "id = new(full) id = new()", "return tracker.claim_job(id)",
    "return ... and tracker.claim_job(id) and tracker.delete_job(id)" },
  { "claim_job of a finished job", "id = new(full)", "return tracker.claim_job(id)",
    "local ok, message, code = ... return not ok and code == 'invalid_transition' and "
    "message:find('a failed job cannot be claimed', 1, true)" },
  { "claim_job of an unknown job", "", "return tracker.claim_job('none_00000000')",
    "local ok, message, code = ... return not ok and code == 'not_found'" },
  { "cancel_job", "id = new{ status = 'running' }",
    "return tracker.cancel_job(id, 'late')",
    "return tracker.get_job(id).cancel_requested == 'late'" },
  { "cancel_job of a pending job", "id = new()", "return tracker.cancel_job(id)",
    "return tracker.get_job(id).error == 'cancelled: on request'" },
  { "cancel_job of a bad reason", "id = new()",
    "return refused(tracker.cancel_job, id, {})",
    "return (...):find('reason must be a string', 1, true)" },
  { "an id that is a job", "job = tracker.get_job(new())",
    "return refused(tracker.get_job, job)",
    "return (...):find('such as job.task_id, got JobStatus', 1, true)" },
  { "a name that JobStatus has not", "",
    "return refused(function() return job_tracker.JobStatus.COMPLETE end)",
    "return (...):find('unknown name \"COMPLETE\"', 1, true)" },
  { "delete_job", "id = new(full)", "return tracker.delete_job(id)",
    "return tracker.get_job(id) == nil" },
  { "delete_job of an unknown job", "",
    "return tracker.delete_job('none_00000000')",
    "local ok, message, code = ... return code == 'not_found'" },
  { "clear_jobs", "tracker.clear_jobs() new() new(full)",
    "return tracker.clear_jobs()", "return ... == 2" },
  { "require, and now", "", "local module = open_module() return module, module.now()",
    "local it, now = ... return it.JobTracker.stats().jobs_used >= 0 and #now == 27" },
  { NULL, NULL, NULL, NULL }
};
