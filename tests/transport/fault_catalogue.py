"""Everything that can break in one exchange, by name."""

import faults_of_body
import faults_of_connection
import faults_of_head
import faults_of_status

CHAPTERS = {
    "The connection": faults_of_connection.FAULTS,
    "The answer's head and length": faults_of_head.FAULTS,
    "The answer's body": faults_of_body.FAULTS,
    "Status and code": faults_of_status.FAULTS,
}

FAULTS = {name: fault for faults in CHAPTERS.values() for name, fault in faults.items()}
