-- files: the little that the pipeline needs of the file system beyond io: folders,
-- absolute paths, whether a file is there. It goes through the shell, with every
-- name quoted.

local files = {}

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What a command prints, its complaints included.
local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read("*a")
  pipe:close()
  return (output:gsub("%s+$", ""))
end

---Makes a folder and those above it.
---@param path string
---@return true?
---@return string? message
function files.make_folder(path)
  local complaint = output_of("mkdir -p -- " .. quoted(path))
  if complaint ~= "" then return nil, complaint end
  return true
end

---The path from the root, as another process would need it.
---@param path string
---@return string
function files.absolute(path)
  if path:find("^/") then return path end
  local folder = output_of("pwd -P")
  return (folder == "/" and "" or folder) .. "/" .. path:gsub("^%./+", "")
end

---The folder a path lies in.
---@param path string
---@return string
function files.folder_of(path)
  return path:match("^(.*[^/])/+[^/]+/*$") or path:find("^/") and "/" or "."
end

---@param path string
---@return boolean
function files.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

---@param path string
---@return string?
function files.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

---Writes a file, and finds out whether all of it was written: a full disk may
---show only when the file is closed.
---@param path string
---@param text string
---@return true?
---@return string? message
function files.write(path, text)
  local file, message = io.open(path, "wb")
  if not file then return nil, message end
  local written, write_message = file:write(text)
  local closed, close_message = file:close()
  if not (written and closed) then
    return nil, ("%s: %s"):format(path, write_message or close_message)
  end
  return true
end

return files
