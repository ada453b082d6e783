-- files: the little that the pipeline needs of the file system beyond io: folders,
-- absolute paths, whether a file is there.

local lfs = require "lfs"

local files = {}

local function is_folder(path) return lfs.attributes(path, "mode") == "directory" end

---Makes a folder and those above it.
---@param path string
---@return true?
---@return string? message
function files.make_folder(path)
  if is_folder(path) then return true end
  local above = files.folder_of(path)
  if above ~= path then
    local made, message = files.make_folder(above)
    if not made then return nil, message end
  end
  local made, message = lfs.mkdir(path)
  -- Somebody else may have made it since.
  if made or is_folder(path) then return true end
  return nil, ("%s: %s"):format(path, message)
end

---The path from the root, as another process would need it.
---@param path string
---@return string
function files.absolute(path)
  if path:find("^/") then return path end
  local folder = assert(lfs.currentdir())
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
